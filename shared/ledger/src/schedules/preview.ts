import { nextOccurrence } from "./plan.ts";
import { parseWhen, type WhenOption, whenText } from "./when.ts";
import { zoneOf } from "./zone.ts";

export interface PreviewOptions {
  readonly when: WhenOption;
  /** IANA name. */
  readonly timeZone: string;
  readonly start?: Date | undefined;
  readonly end?: Date | undefined;
  /** Counts from the first instant after this. */
  readonly after: Date;
  readonly count: number;
}

/** When a rhythm would fire, without making a schedule of it. Pure. @throws ScheduleError as `Schedules.upsert`. */
export function previewFirings({ when, timeZone, start, end, after, count }: PreviewOptions): readonly Date[] {
  const rhythm = { when: parseWhen(whenText(when)), zone: zoneOf(timeZone) };
  const timing = { rhythm, start: start?.getTime(), end: end?.getTime() };
  const found: Date[] = [];
  let next = nextOccurrence(timing, after.getTime());
  while (next !== undefined && found.length < count) {
    found.push(new Date(next));
    next = nextOccurrence(timing, next);
  }
  return found;
}
