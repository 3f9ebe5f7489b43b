import type { CodeEntries } from "./entry.ts";

/** Codes of what people do to received requests and the events in them. */
export const requestsCodes = {
  REQUEST_NOT_FOUND: {
    meaning: "No stored request has this id.",
    fix: "Check the id; requests are kept for WARREN_REQUEST_RETENTION_DAYS (default: as long as finished jobs).",
  },
  REQUEST_BODY_NOT_KEPT: {
    meaning: "The bytes of this request were not kept: it was too large, did not arrive whole, or came to no source.",
    fix: "Have the provider send it again.",
  },
  REQUEST_NOT_REJECTED: {
    meaning: "Only a rejected request can be verified again.",
    fix: "Look at the request's status: an accepted one is an event, which can be replayed.",
  },
  REQUEST_SOURCE_GONE: {
    meaning: "The source that the request came to is not configured any more, or cannot judge requests now.",
    fix: "Configure the source with the secret that the provider signs with, then verify again.",
  },
  REQUEST_SEARCH_TIMEOUT: {
    meaning: "The search took too long even in its smallest steps, so it was ended.",
    fix: "Name a source, a shorter time, or an event id; large bodies are what takes long.",
  },
  WEBHOOK_EVENT_NOT_FOUND: {
    meaning: "No accepted event of a webhook has this id.",
    fix: "An event has the id of the request that was accepted; a duplicate or rejected request is no event of its own.",
  },
  REPLAY_NOT_FOUND: {
    meaning: "No replay has this id.",
    fix: "Look at the list of replays; they are kept as long as requests.",
  },
  REPLAY_FINISHED: {
    meaning: "The replay is done or aborted, so it cannot be paused, resumed or aborted.",
    fix: "Nothing; make another one.",
  },
} as const satisfies CodeEntries;
