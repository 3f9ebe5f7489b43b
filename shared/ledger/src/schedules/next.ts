import { type Cron, dayMs, nextDay, nextTimeOfDay } from "./cron.ts";
import type { When } from "./when.ts";
import type { Zone } from "./zone.ts";

/** When something fires: a rhythm, and the zone whose clock it goes by. */
export interface Rhythm {
  readonly when: When;
  readonly zone: Zone;
}

/**
 * The first instant after `after` at which the rhythm fires, in milliseconds since 1970; `undefined` when there is none within fifty
 * years. Pure but for the machine's time zone database.
 *
 * Where the clock jumps ahead (gap) or back (overlap), a cron that fires in every hour follows the clock: what the clock does not show
 * is left out, what it shows twice fires twice. A cron that names hours fires once for each of its times of every date: those in a gap
 * together, at the first instant after it; those in an overlap at the first of the two.
 */
export function nextFiring({ when, zone }: Rhythm, after: number): number | undefined {
  if (when.kind === "every")
    return (Math.floor((after - when.offsetMs) / when.everyMs) + 1) * when.everyMs + when.offsetMs;
  const { cron } = when;
  // near a change the clock may show yesterday's date again
  let day = nextDay(cron, Math.floor((after + zone.offsetAt(after)) / dayMs) - 1);
  while (day !== undefined) {
    const found = firstOfDay(cron, zone, day, after);
    if (found !== undefined) return earlierNextDay(cron, zone, day + 1, after, found);
    day = nextDay(cron, day + 1);
  }
  return undefined;
}

/** Where the clock goes back over midnight, the end of a date comes again after the beginning of the next. */
function earlierNextDay(cron: Cron, zone: Zone, day: number, after: number, found: number): number {
  if (zone.dayAt(day - 1).kind === "even" || nextDay(cron, day) !== day) return found;
  return Math.min(found, firstOfDay(cron, zone, day, after) ?? found);
}

/** The first instant after `after` at which the cron fires for this local date. */
function firstOfDay(cron: Cron, zone: Zone, day: number, after: number): number | undefined {
  const clock = zone.dayAt(day);
  if (clock.kind === "even") {
    const local = firstLocal(cron, day, after + 1 + clock.offset);
    return local === undefined ? undefined : local - clock.offset;
  }
  const { changesAt } = clock;
  const [gapFrom, gapTo] = [changesAt + clock.before, changesAt + clock.after];
  const candidates: number[] = [];

  const early = firstLocal(cron, day, after + 1 + clock.before);
  if (early !== undefined && early - clock.before < changesAt) candidates.push(early - clock.before);

  // what the clock showed before the change has fired
  const lateFrom = cron.everyHour ? gapTo : Math.max(gapFrom, gapTo);
  const late = firstLocal(cron, day, Math.max(after + 1 + clock.after, lateFrom));
  if (late !== undefined) candidates.push(late - clock.after);

  if (!cron.everyHour && changesAt > after) {
    const skipped = firstLocal(cron, day, gapFrom);
    if (skipped !== undefined && skipped < gapTo) candidates.push(changesAt);
  }
  return candidates.length === 0 ? undefined : Math.min(...candidates);
}

/** The first time of this date that fits and is not before `from`; both as the clock shows them, written as if in UTC. */
function firstLocal(cron: Cron, day: number, from: number): number | undefined {
  const midnight = day * dayMs;
  if (from >= midnight + dayMs) return undefined;
  const time = nextTimeOfDay(cron, from - midnight);
  return time === undefined ? undefined : midnight + time;
}

/**
 * The last `most` instants at which the rhythm fires after `after` and not after `until`, oldest first, and whether there were more
 * before them. Looks back in growing windows, so that a long silence of a frequent schedule costs no more than a short one.
 */
export function lastFirings(
  rhythm: Rhythm,
  { after, until, most }: { readonly after: number; readonly until: number; readonly most: number },
): { readonly instants: readonly number[]; readonly more: boolean } {
  for (let window = firstWindowMs; ; window *= 2) {
    const from = Math.max(after, until - window);
    const found = firingsBetween(rhythm, from, until);
    if (found.length > most) return { instants: found.slice(found.length - most), more: true };
    if (from === after) return { instants: found, more: false };
  }
}

const firstWindowMs = 60_000;

function firingsBetween(rhythm: Rhythm, after: number, until: number): readonly number[] {
  const found: number[] = [];
  let next = nextFiring(rhythm, after);
  while (next !== undefined && next <= until) {
    found.push(next);
    next = nextFiring(rhythm, next);
  }
  return found;
}
