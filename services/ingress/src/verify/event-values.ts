import { describingHeader } from "./header.ts";
import { parseJson, parsePointer, textAt } from "./json.ts";
import type { ValueFrom } from "./options.ts";
import { contentKey, keyOf } from "./signature.ts";
import type { WebhookRequest } from "./verdict.ts";

interface EventValues {
  readonly eventId?: ValueFrom | undefined;
  readonly eventType?: ValueFrom | undefined;
  readonly eventSubject?: ValueFrom | undefined;
}

interface Described {
  readonly dedupeKey: string;
  readonly eventId: string | undefined;
  readonly eventType: string | undefined;
  readonly eventSubject: string | undefined;
  readonly parsed: unknown;
}

/** Reads the id, the type and the subject of an event from where the configuration says that they stand. */
export function eventDescriber({
  eventId: idFrom,
  eventType: typeFrom,
  eventSubject: subjectFrom,
}: EventValues): (r: WebhookRequest) => Described {
  const idOf = valueReader(idFrom);
  const typeOf = valueReader(typeFrom);
  const subjectOf = valueReader(subjectFrom);
  const needsJson = [idFrom, typeFrom, subjectFrom].some((from) => from?.json !== undefined);
  return (request) => {
    const parsed = needsJson ? parseJson(request.body) : undefined;
    const eventId = idOf(request, parsed);
    // an id that ought to be there and is not would make every such event the same
    const dedupeKey = eventId === undefined ? contentKey(request.body) : keyOf(eventId);
    return {
      dedupeKey,
      eventId,
      eventType: typeOf(request, parsed),
      eventSubject: subjectOf(request, parsed),
      parsed,
    };
  };
}

type ReadValue = (request: WebhookRequest, parsed: unknown) => string | undefined;

function valueReader(from: ValueFrom | undefined): ReadValue {
  if (from?.header !== undefined) {
    const name = from.header.toLowerCase();
    return ({ rawHeaders }) => describingHeader(rawHeaders, name);
  }
  if (from?.json !== undefined) {
    const pointer = parsePointer(from.json);
    return (_request, parsed) => textAt(parsed, pointer);
  }
  return () => undefined;
}
