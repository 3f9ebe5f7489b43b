import { readdirSync, readFileSync } from "node:fs";

/** CPU time in microseconds since each process began. `server` is whoever answers HTTP. */
export interface CpuTimes {
  readonly server: number;
  readonly postgres: number;
  readonly broker: number;
  readonly load: number;
  /** Everything else on the machine: what disturbed the measurement. */
  readonly others: number;
}

interface Stat {
  readonly command: string;
  readonly parent: number;
  readonly own: number;
  readonly children: number;
}

/** Linux reports in hundredths of a second (USER_HZ). */
const tickUs = 10_000;

/** Reads /proc: rates say little on a machine that others use too, CPU time a request says more. The load is our ended children. */
export function cpuTimes(serverPid: number): CpuTimes {
  const stats = new Map<number, Stat>();
  for (const name of readdirSync("/proc")) {
    const stat = /^\d+$/.test(name) ? statOf(name) : undefined;
    if (stat !== undefined) stats.set(Number(name), stat);
  }
  let postgres = 0;
  let broker = 0;
  for (const [pid, { command, parent, own, children }] of stats) {
    if (!isOurs(stats, pid)) continue;
    // a postmaster has waited for the backends that ended
    if (command === "postgres") postgres += own + (stats.get(parent)?.command === "postgres" ? 0 : children);
    if (command === "beam.smp") broker += own;
  }
  const server = stats.get(serverPid)?.own ?? 0;
  const load = stats.get(process.pid)?.children ?? 0;
  return { server, postgres, broker, load, others: busy() - server - postgres - broker - load };
}

function isOurs(stats: ReadonlyMap<number, Stat>, pid: number): boolean {
  for (let at = pid; at > 1; at = stats.get(at)?.parent ?? 0) if (at === process.pid) return true;
  return false;
}

function statOf(pid: string): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined; // it has ended
  }
  const end = text.lastIndexOf(")");
  const fields = text.slice(end + 2).split(" ");
  const ticks = (first: number): number => (Number(fields[first]) + Number(fields[first + 1])) * tickUs;
  return {
    command: text.slice(text.indexOf("(") + 1, end),
    parent: Number(fields[1]),
    own: ticks(11),
    children: ticks(13),
  };
}

function busy(): number {
  const line = readFileSync("/proc/stat", "latin1").split("\n")[0] ?? "";
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0] = line.split(/ +/).slice(1).map(Number);
  return (user + nice + system + irq + softIrq) * tickUs;
}
