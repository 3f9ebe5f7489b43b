import type { Misfire, Overlap } from "../../src/schedules/plan.ts";

/** Schedules as plain data, counted minute by minute: what should become of them, without a database, a lock or a cron library. */
export interface ModelSchedule {
  everyMinutes: number;
  misfire: Misfire;
  overlap: Overlap;
  limit: number | undefined;
  /** Minutes since the beginning of the model. */
  end: number | undefined;
  /** Up to here every occurrence is decided. */
  decidedTo: number;
  paused: boolean;
  /** The limit was reached, or the end passed, and nothing has changed since. */
  over: boolean;
  fired: number;
  missed: number;
  overlapped: number;
  waiting: number[];
}

export interface ModelJob {
  readonly schedule: string;
  /** Its intended minute. */
  readonly at: number;
  readonly triggered: boolean;
  state: "ready" | "running" | "finished" | "cancelled";
  cancelRequested: boolean;
}

export interface Model {
  now: number;
  readonly schedules: Map<string, ModelSchedule>;
  readonly jobs: ModelJob[];
}

const unfinished = (job: ModelJob): boolean => job.state === "ready" || job.state === "running";

export const unfinishedOf = (model: Model, name: string): readonly ModelJob[] =>
  model.jobs.filter((job) => job.schedule === name && unfinished(job));

/** The next occurrence, minute by minute. */
export function modelNext(schedule: ModelSchedule): number | undefined {
  if (schedule.over) return undefined;
  for (let minute = schedule.decidedTo + 1; ; minute += 1) {
    if (schedule.end !== undefined && minute > schedule.end) return undefined;
    if (minute % schedule.everyMinutes === 0) return minute;
  }
}

export function modelFire(model: Model): void {
  for (const [name, schedule] of model.schedules) {
    if (!schedule.paused) fireOne(model, name, schedule);
  }
}

function fireOne(model: Model, name: string, schedule: ModelSchedule): void {
  const due: number[] = [];
  for (let minute = schedule.decidedTo + 1; minute <= model.now && !schedule.over; minute += 1) {
    const isInside = schedule.end === undefined || minute <= schedule.end;
    if (isInside && minute % schedule.everyMinutes === 0) due.push(minute);
  }
  if (due.length > 0) schedule.decidedTo = Math.max(schedule.decidedTo, model.now);
  const fire = kept(schedule.misfire, due, model.now);
  schedule.missed += due.length - fire.length;
  const room = schedule.limit === undefined ? fire.length : Math.max(0, schedule.limit - schedule.fired);
  const line = [...schedule.waiting, ...fire.slice(0, room)];
  schedule.fired -= schedule.waiting.length;
  schedule.waiting = [];

  const others = unfinishedOf(model, name);
  line.forEach((minute, place) => {
    const isBusy = unfinishedOf(model, name).length > 0;
    if (schedule.overlap === "cancel" && place < line.length - 1) schedule.overlapped += 1;
    else if (schedule.overlap === "skip" && isBusy) schedule.overlapped += 1;
    else if (schedule.overlap === "queue" && isBusy) {
      schedule.waiting.push(minute);
      schedule.fired += 1;
    } else {
      if (schedule.overlap === "cancel") others.forEach(cancel);
      model.jobs.push({ schedule: name, at: minute, triggered: false, state: "ready", cancelRequested: false });
      schedule.fired += 1;
    }
  });
  const isSpent = schedule.limit !== undefined && schedule.fired >= schedule.limit;
  if (isSpent || modelNext(schedule) === undefined) schedule.over = true;
}

function kept(misfire: Misfire, due: readonly number[], now: number): readonly number[] {
  if (misfire === "skip") return due.slice(-1).filter((minute) => now - minute <= 1);
  return due.slice(-(misfire === "once" ? 1 : misfire.catchUp));
}

function cancel(job: ModelJob): void {
  if (job.state === "running") job.cancelRequested = true;
  else job.state = "cancelled";
}
