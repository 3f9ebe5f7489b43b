import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";

/** The rooms of shared/ in import order: each may import only from those above it. */
const sharedInOrder = ["contracts", "observability", "resilience", "amqp", "ledger", "jobs", "service", "cli"] as const;

/** Pairs that must never meet, in either direction, though the order would allow one. */
const neverMeet = [["amqp", "ledger"]] as const;

/** Libraries that only these rooms of shared/ and services/ may use in their sources: the walls around the broker and the database. */
const walledLibraries: Readonly<Record<string, readonly string[]>> = {
  amqplib: ["amqp"],
  "amqp-connection-manager": ["amqp"],
  pg: ["ledger", "testing"],
  cockatiel: ["resilience"],
  "prom-client": ["observability"],
};

interface Room {
  /** `shared`, `services` or `infra`. */
  readonly wing: string;
  readonly name: string;
  readonly folder: string;
  readonly manifest: Manifest;
}

interface Manifest {
  readonly name: string;
  readonly exports?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** Everything in the repository's rooms that breaks the layers, one sentence each; empty when all is well. */
export function layerViolations(repository: string): readonly string[] {
  const rooms = globSync("{shared,services,infra}/*/package.json", { cwd: repository })
    .sort()
    .map((path) => readRoom(repository, path));
  return rooms.flatMap((room) => [
    ...manifestViolations(room, rooms),
    ...globSync("{src,test}/**/*.{ts,mjs}", { cwd: room.folder })
      .sort()
      .flatMap((file) => sourceViolations(repository, room, join(room.folder, file), rooms)),
  ]);
}

function readRoom(repository: string, path: string): Room {
  const [wing = "", name = ""] = path.split(sep);
  const manifest = JSON.parse(readFileSync(join(repository, path), "utf8")) as Manifest;
  return { wing, name, folder: join(repository, dirname(path)), manifest };
}

function manifestViolations(room: Room, rooms: readonly Room[]): readonly string[] {
  const where = `${room.wing}/${room.name}/package.json`;
  const expected = `@warren/${room.name}`;
  const misnamed = room.manifest.name === expected ? [] : [`${where}: the package must be called ${expected}`];
  const check = (names: object | undefined, isTest: boolean): readonly string[] =>
    Object.keys(names ?? {}).flatMap((name) =>
      explain(where, refusal({ room, rooms, packageName: name, isTest, part: "", helps: room.name === "testing" })),
    );
  return [...misnamed, ...check(room.manifest.dependencies, false), ...check(room.manifest.devDependencies, true)];
}

function sourceViolations(repository: string, room: Room, file: string, rooms: readonly Room[]): readonly string[] {
  const where = relative(repository, file);
  const isTest = relative(room.folder, file).startsWith(`test${sep}`);
  return importSpecifiers(readFileSync(file, "utf8")).flatMap((specifier) => {
    if (specifier.startsWith(".")) return explain(where, relativeRefusal(room, file, specifier));
    const name = specifier
      .split("/")
      .slice(0, specifier.startsWith("@") ? 2 : 1)
      .join("/");
    const wall = isTest ? undefined : walledRefusal(room, name);
    const part = specifier.slice(name.length + 1);
    const refused = refusal({ room, rooms, packageName: name, isTest, part, helps: isHelper(room, file) });
    return explain(where, wall ?? refused);
  });
}

function explain(where: string, reason: string | undefined): readonly string[] {
  return reason === undefined ? [] : [`${where}: ${reason}`];
}

interface Use {
  readonly room: Room;
  readonly rooms: readonly Room[];
  readonly packageName: string;
  /** Used by tests only. */
  readonly isTest: boolean;
  /** What is named behind the package: an entry point of its manifest, or a file inside it. */
  readonly part: string;
  /** It belongs to the part of testing that is for users. */
  readonly helps: boolean;
}

/**
 * The helpers for users' tests stand behind every room. The rest of testing serves the tests of the rooms above it, and so must know none of
 * them; its index does not reach the helpers (see `relativeRefusal`).
 */
const helpers = join("src", "jobs") + sep;

function isHelper(room: Room, file: string): boolean {
  if (room.wing !== "shared" || room.name !== "testing") return false;
  const path = relative(room.folder, file);
  return path.startsWith(helpers) || path.startsWith(`test${sep}`);
}

/** Why the room may not use that package; `undefined` when it may, and for packages that are not ours. */
function refusal({ room, rooms, packageName, isTest, part, helps }: Use): string | undefined {
  if (!packageName.startsWith("@warren/")) return undefined;
  const target = rooms.find((candidate) => `@warren/${candidate.name}` === packageName);
  if (target === undefined) return `${packageName} is no room of this repository`;
  const deep = part !== "" && target.manifest.exports?.[`./${part}`] === undefined;
  // A test may use its package as a user does.
  if (target === room)
    return isTest && !deep ? undefined : `${packageName} imports itself by name; use a relative path`;
  if (deep) return `only what the index of ${packageName} exports may be imported`;
  if (target.wing === "services") return `nothing may import a service, and ${packageName} is one`;
  if (room.wing === "infra") return undefined;
  // The stand-ins of the providers serve the services' tests too; sources that knew them would be talking to a stand-in.
  if (target.name === "sandbox" && room.wing === "services" && isTest) return undefined;
  if (target.wing === "infra") return `${room.wing} may not import from infra, and ${packageName} is there`;
  // A development dependency of everything; that no sources use it is knip's question.
  if (target.name === "testing") {
    if (room.name === "contracts") return "contracts imports nothing but zod";
    const comesFirst = room.wing === "shared" && sharedInOrder.some((name) => name === room.name);
    return comesFirst && part === "jobs" ? `${packageName}/${part} stands behind shared/${room.name}` : undefined;
  }
  return room.wing === "shared" ? sharedRefusal(room.name, target.name, helps) : undefined;
}

function sharedRefusal(from: string, to: string, helps: boolean): string | undefined {
  if (neverMeet.some((pair) => pair.some((name) => name === from) && pair.some((name) => name === to))) {
    return `${from} never meets ${to}`;
  }
  if (from === "testing") {
    // worlds are copied from a database that holds the ledger's schema
    const mayKnow = helps || to === "contracts" || to === "ledger";
    return mayKnow ? undefined : "testing imports only contracts and ledger, except in src/jobs";
  }
  const order: readonly string[] = sharedInOrder;
  if (!order.includes(from))
    return `shared/${from} has no place in the import order yet; give it one in infra/checks/src/layers.ts`;
  return order.indexOf(to) < order.indexOf(from)
    ? undefined
    : `shared/${from} may import only from rooms above it, and ${to} is not`;
}

function walledRefusal(room: Room, library: string): string | undefined {
  if (room.wing === "infra") return undefined;
  if (library.startsWith("@warren/")) return undefined;
  if (room.name === "contracts" && library !== "zod") return "contracts imports nothing but zod";
  const allowed = walledLibraries[library];
  if (allowed === undefined || (room.wing === "shared" && allowed.includes(room.name))) return undefined;
  return `${library} belongs behind shared/${allowed.join(", shared/")}`;
}

function relativeRefusal(room: Room, file: string, specifier: string): string | undefined {
  const target = resolve(dirname(file), specifier);
  if (!target.startsWith(room.folder + sep)) return `"${specifier}" leaves the package; import it by its name`;
  if (isHelper(room, target) && !isHelper(room, file))
    return `"${specifier}" is one of the helpers in src/jobs, which the index must not reach`;
  return existsSync(target) ? undefined : `"${specifier}" is not there`;
}

/** The specifiers of static, re-exporting and dynamic imports. Reads by pattern: specifiers in this repository are literal strings. */
function importSpecifiers(source: string): readonly string[] {
  const patterns = [
    /^\s*(?:import|export)\s[^"';]*?from\s+"([^"]+)"/gm,
    /^\s*import\s+"([^"]+)"/gm,
    /\bimport\(\s*"([^"]+)"\s*\)/g,
  ];
  return patterns.flatMap((pattern) => [...source.matchAll(pattern)].map((match) => match[1] ?? ""));
}
