import type { CodeEntries } from "./entry.ts";

/** Codes of the management API, whatever its area. */
export const apiCodes = {
  API_KEY_INVALID: {
    meaning: "The call to the management API carries no key, or one that is not known.",
    fix: "Send `Authorization: Bearer <key>` with one of the keys in WARREN_API_KEYS.",
  },
  API_SCOPE_MISSING: {
    meaning: "The key is known, but its scopes do not open this call.",
    fix: "The detail names the scope. Use another key, or add the scope to this one's entry in WARREN_API_KEYS.",
  },
  API_REQUEST_INVALID: {
    meaning: "The path, query or body of the call is not what the management API takes.",
    fix: "The answer's `errors` name each place and what was expected there; /api/v1/openapi.json describes it all.",
  },
  API_CONTENT_TYPE_UNSUPPORTED: {
    meaning: "The body of the call is of a media type that the management API does not read.",
    fix: "Send JSON with `Content-Type: application/json`, or no body where the call takes none.",
  },
  API_CURSOR_INVALID: {
    meaning: "The cursor is not one that this list has given.",
    fix: "Pass `nextCursor` of the page before as it is, or start again without a cursor.",
  },
  API_METHOD_NOT_ALLOWED: {
    meaning: "The management API has this path, but not for this method.",
    fix: "The Allow header names the methods; /api/v1/openapi.json describes them.",
  },
  API_UNREACHABLE: {
    meaning: "The management API does not answer, or what answers at its address is something else.",
    fix: "Set WARREN_API_URL to its address, such as http://127.0.0.1:8090/api/v1; it listens only when WARREN_API_KEYS is set.",
  },
  API_BODY_TOO_LARGE: {
    meaning: "The body of the call is larger than the management API takes.",
    fix: "Send less in one call; the detail names the limit in bytes.",
  },
} as const satisfies CodeEntries;
