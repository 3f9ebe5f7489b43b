import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { newId } from "@warren/ledger";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createFileStore } from "../../src/payloads/file-store.ts";
import { objectKeyFor } from "../../src/payloads/store.ts";
import { refusal } from "./refusal.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "warren-store-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const key = () => objectKeyFor({ jobId: newId(), column: "payload" }, "0123456789abcdef");

test("objects are written, read and deleted; a folder that is missing is made", async () => {
  const store = createFileStore({ directory: join(directory, "a", "b") });
  expect(store.name).toBe(pathToFileURL(join(directory, "a", "b")).href);
  await store.check();
  const one = key();
  await store.put(one, Buffer.from("hello"));
  expect(Buffer.from(await store.get(one, 5)).toString()).toBe("hello");
  expect((await refusal(store.get(one, 4))).code).toBe("PAYLOAD_OBJECT_CORRUPT");
  await store.delete(one);
  await store.delete(one);
  const missing = await refusal(store.get(one, 5));
  expect([missing.code, missing.details["object"]]).toEqual(["PAYLOAD_OBJECT_MISSING", one]);
});

test("nothing that is only half written has the name of an object, and leftovers go after a day", async () => {
  const store = createFileStore({ directory });
  await store.put(key(), Buffer.from("hello"));
  expect(readdirSync(join(directory, "unfinished"))).toEqual([]);
  const [fresh, stale] = ["fresh", "stale"].map((name) => join(directory, "unfinished", name));
  for (const path of [fresh!, stale!]) writeFileSync(path, "half");
  utimesSync(stale!, new Date(0), new Date(0));
  const { objects } = await store.list({ after: undefined, limit: 10 });
  expect(objects).toHaveLength(1);
  expect([existsSync(fresh!), existsSync(stale!)]).toEqual([true, false]);
});

test("a listing goes through all objects, in order, page by page, and leaves out what is not in a folder of ours", async () => {
  const store = createFileStore({ directory });
  const keys = Array.from({ length: 25 }, key).sort();
  for (const one of keys) await store.put(one, Buffer.alloc(3));
  mkdirSync(join(directory, "lost+found"));
  writeFileSync(join(directory, "lost+found", "x"), "");
  const listed: string[] = [];
  let after: string | undefined;
  do {
    const page = await store.list({ after, limit: 10 });
    listed.push(...page.objects.map((object) => object.key));
    after = page.next;
  } while (after !== undefined);
  expect(listed).toEqual(keys);
  const empty = createFileStore({ directory: join(directory, "none") });
  expect(await empty.list({ after: undefined, limit: 5 })).toEqual({ objects: [], next: undefined });
});

test.for(["../secret", "../../etc/passwd", "/etc/passwd", "ab/../../x", ""])(
  "the key %j does not lead out of the folder",
  async (path) => {
    const store = createFileStore({ directory: join(directory, "store") });
    writeFileSync(join(directory, "secret"), "x");
    expect((await refusal(Promise.resolve().then(() => store.get(path, 100)))).code).toBe("PAYLOAD_OBJECT_MISSING");
  },
);

test("a folder that cannot be written is refused with its path", async () => {
  const file = join(directory, "file");
  writeFileSync(file, "");
  // what a file stands in the way of fails for root as well
  const store = createFileStore({ directory: join(file, "store") });
  for (const call of [() => store.check(), () => store.put(key(), Buffer.of(1))]) {
    const error = await refusal(call());
    expect([error.code, error.details["code"]]).toEqual(["PAYLOAD_STORE_REFUSED", "ENOTDIR"]);
    expect(error.message).toContain(join(file, "store"));
  }
});

test.skipIf(process.getuid?.() === 0)("a folder without the right to write is refused", async () => {
  chmodSync(directory, 0o500);
  const error = await refusal(createFileStore({ directory }).check());
  chmodSync(directory, 0o700);
  expect([error.code, error.details["code"]]).toEqual(["PAYLOAD_STORE_REFUSED", "EACCES"]);
});
