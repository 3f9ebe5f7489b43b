import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, mkdir, open, readdir, rename, rm, stat, unlink } from "node:fs/promises";
import { dirname, join, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { PayloadError } from "./errors.ts";
import type { ObjectPage, PayloadStore, StoredObject } from "./store.ts";

export interface FileStoreOptions {
  /** Made if it is missing. All processes must see the same one: a shared volume when they run on several machines. */
  readonly directory: string;
}

const folderName = /^[0-9a-f]{2}$/;
/** Where files lie until they are whole; what is left there by a process that died goes after a day. */
const unfinishedFolder = "unfinished";
const unfinishedMs = 24 * 3_600_000;

/** Payloads as files: written aside, flushed to the disk, then renamed, so that a file that has its name is whole. */
export function createFileStore({ directory }: FileStoreOptions): PayloadStore {
  const root = resolve(directory);
  const unfinished = join(root, unfinishedFolder);

  function pathOf(key: string): string {
    const path = resolve(root, key);
    // keys come out of rows: one that leads elsewhere is not ours
    if (!path.startsWith(root + sep)) throw missing(key);
    return path;
  }

  async function put(key: string, bytes: Uint8Array): Promise<void> {
    const path = pathOf(key);
    const draft = join(unfinished, randomBytes(12).toString("hex"));
    try {
      await mkdir(unfinished, { recursive: true });
      await mkdir(dirname(path), { recursive: true });
      await writeDurably(draft, bytes);
      await rename(draft, path);
      // the name too must survive a power cut, and that of its folder
      await flushFolder(dirname(path));
      await flushFolder(root);
    } catch (error) {
      await rm(draft, { force: true }).catch(() => undefined);
      throw failed("write", root, error);
    }
  }

  async function get(key: string, maxBytes: number): Promise<Uint8Array> {
    try {
      await using file = await open(pathOf(key), "r");
      const { size } = await file.stat();
      if (size > maxBytes)
        throw new PayloadError("PAYLOAD_OBJECT_CORRUPT", `object ${key} is larger than what was written`);
      return await file.readFile();
    } catch (error) {
      if (codeOf(error) === "ENOENT") throw missing(key, error);
      throw failed("read", root, error);
    }
  }

  async function list({
    after,
    limit,
  }: {
    readonly after: string | undefined;
    readonly limit: number;
  }): Promise<ObjectPage> {
    try {
      if (after === undefined) await dropUnfinished();
      const objects: StoredObject[] = [];
      const fromFolder = after?.slice(0, 2) ?? "";
      const folders = (await readNames(root)).filter((name) => folderName.test(name) && name >= fromFolder).sort();
      for (const folder of folders) {
        const keys = (await readNames(join(root, folder))).map((name) => `${folder}/${name}`).sort();
        for (const key of keys) {
          if (after !== undefined && key <= after) continue;
          if (objects.length >= limit) return { objects, next: objects.at(-1)?.key };
          const found = await describe(key);
          if (found !== undefined) objects.push(found);
        }
      }
      return { objects, next: undefined };
    } catch (error) {
      throw failed("list", root, error);
    }
  }

  /** `undefined` when somebody deleted it meanwhile. */
  async function describe(key: string): Promise<StoredObject | undefined> {
    try {
      const { size, mtime } = await stat(pathOf(key));
      return { key, bytes: size, modifiedAt: mtime };
    } catch (error) {
      if (codeOf(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  async function dropUnfinished(): Promise<void> {
    for (const name of await readNames(unfinished)) {
      const path = join(unfinished, name);
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
      if (Date.now() - mtimeMs > unfinishedMs) await rm(path, { force: true });
    }
  }

  return {
    name: pathToFileURL(root).href,
    async check() {
      try {
        await mkdir(unfinished, { recursive: true });
        await access(root, constants.R_OK | constants.W_OK | constants.X_OK);
        const probe = join(unfinished, randomBytes(12).toString("hex"));
        await writeDurably(probe, new Uint8Array());
        await unlink(probe);
      } catch (error) {
        throw failed("write", root, error);
      }
    },
    put,
    get,
    async delete(key) {
      await rm(pathOf(key), { force: true }).catch((error: unknown) => {
        throw failed("delete", root, error);
      });
    },
    list,
  };
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  await file.writeFile(bytes);
  await file.sync();
}

async function flushFolder(path: string): Promise<void> {
  await using folder = await open(path, "r");
  await folder.sync();
}

async function readNames(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}

/** What an operator must mend; all else may pass. */
const refusals = new Set(["EACCES", "EPERM", "EROFS", "ENOTDIR", "EISDIR", "ENOENT", "ELOOP", "ENAMETOOLONG"]);

function failed(doing: string, root: string, error: unknown): PayloadError {
  if (error instanceof PayloadError) return error;
  const code = codeOf(error) ?? "";
  const isRefused = refusals.has(code);
  return new PayloadError(
    isRefused ? "PAYLOAD_STORE_REFUSED" : "PAYLOAD_STORE_UNAVAILABLE",
    `payload store ${root}: cannot ${doing}: ${code === "" ? String(error) : code}`,
    { details: { code }, cause: error },
  );
}

function missing(key: string, cause?: unknown): PayloadError {
  return new PayloadError("PAYLOAD_OBJECT_MISSING", `object ${key} is not in the payload store`, {
    details: { object: key },
    cause,
  });
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
