import { nearest } from "@warren/contracts";
import { dayMs } from "./cron.ts";
import { ScheduleError } from "./errors.ts";

/** A time zone: how far its clocks are ahead of UTC, and when they change. Instants are milliseconds since 1970. */
export interface Zone {
  readonly name: string;
  /** Milliseconds to add to an instant for what the clock shows, written as if it were UTC. */
  offsetAt(instant: number): number;
  /** How the clock goes on a local date, counted in days since 1 January 1970. */
  dayAt(day: number): ZoneDay;
}

/** A local date with one offset, or one near a change of the clock: at the instant `changesAt` the offset becomes `after`. */
type ZoneDay =
  | { readonly kind: "even"; readonly offset: number }
  | { readonly kind: "change"; readonly before: number; readonly after: number; readonly changesAt: number };

const zones = new Map<string, Zone>();
/** Days that a zone remembers: looking an offset up costs microseconds, and the same days are asked for again and again. */
const mostDays = 2_000;

/** @throws ScheduleError `SCHEDULE_ZONE_UNKNOWN`. */
export function zoneOf(name: string): Zone {
  const known = zones.get(name);
  if (known !== undefined) return known;
  const zone = openZone(name);
  zones.set(name, zone);
  return zone;
}

function openZone(name: string): Zone {
  const offsetAt = offsets(name);
  const days = new Map<number, ZoneDay>();

  /** At most one change is near a date: of all zones since 1970, none has changed twice within a week. */
  function look(day: number): ZoneDay {
    let low = (day - 1) * dayMs;
    let high = (day + 2) * dayMs;
    const before = offsetAt(low);
    const after = offsetAt(high);
    if (before === after) return { kind: "even", offset: before };
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (offsetAt(middle) === before) low = middle;
      else high = middle;
    }
    return { kind: "change", before, after, changesAt: high };
  }

  return {
    name,
    offsetAt,
    dayAt(day) {
      const known = days.get(day);
      if (known !== undefined) return known;
      const found = look(day);
      if (days.size >= mostDays) days.clear();
      days.set(day, found);
      return found;
    },
  };
}

/** Reads "1/31/2024, GMT+01:00"; no sign at all is UTC itself. */
const offsetText = /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/;

function offsets(name: string): (instant: number) => number {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat("en-US", { timeZone: name, timeZoneName: "longOffset" });
  } catch {
    throw new ScheduleError("SCHEDULE_ZONE_UNKNOWN", `"${name}" is no time zone${hint(name)}`, { timeZone: name });
  }
  return (instant) => {
    const [, sign, hours, minutes, seconds] = offsetText.exec(format.format(instant)) ?? [];
    const size = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * 60 + Number(seconds ?? 0);
    return (sign === "-" ? -size : size) * 1_000;
  };
}

/** The zone that is written nearly so, of that city, or whose city is written nearly so. */
function hint(name: string): string {
  const wanted = name.replaceAll(" ", "_");
  const known = Intl.supportedValuesOf("timeZone");
  const cities = new Map(known.map((zone) => [cityOf(zone), zone]));
  const near =
    cities.get(cityOf(wanted)) ??
    nearest(wanted, known) ??
    cities.get(nearest(cityOf(wanted), [...cities.keys()]) ?? "");
  return near === undefined ? '; expected an IANA name such as "Europe/Berlin"' : `; did you mean "${near}"?`;
}

function cityOf(zone: string): string {
  return zone.slice(zone.lastIndexOf("/") + 1).toLowerCase();
}
