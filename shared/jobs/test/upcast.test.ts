import { array, assert, constant, func, integer, jsonValue, property } from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../src/define.ts";
import { JobOptionError } from "../src/errors.ts";
import { handle, tabulate } from "../src/handle.ts";
import { createUpcast, UpcastError, type Upcasters, upcastFrom } from "../src/upcast.ts";

interface MailV1 {
  readonly to: string;
}
interface MailV2 {
  readonly recipients: readonly string[];
}

const mail = {
  what: "job mail",
  version: 3,
  upcast: {
    1: ({ to }: MailV1): MailV2 => ({ recipients: [to] }),
    2: ({ recipients }: MailV2) => ({ recipients, locale: "en" }),
  },
};

test("a payload of any older version becomes the current one, step by step", () => {
  const upcast = createUpcast(mail);
  expect(upcast.versions).toEqual([1, 2, 3]);
  expect(upcast.apply(1, { to: "a@b.c" })).toEqual({ recipients: ["a@b.c"], locale: "en" });
  expect(upcast.apply(2, { recipients: [] })).toEqual({ recipients: [], locale: "en" });
  expect(upcast.apply(3, "untouched")).toBe("untouched");
});

test("without upcasters only the current version is read", () => {
  const upcast = createUpcast({ what: "job mail", version: 4 });
  expect(upcast.versions).toEqual([4]);
  expect(() => upcast.apply(3, {})).toThrow(RangeError);
  expect(() => upcast.apply(5, {})).toThrow(RangeError);
});

test.for<{ what: string; version: number; upcast: object; path: string; says: string }>([
  { what: "a gap", version: 4, upcast: { 1: () => 0, 3: () => 0 }, path: "upcast.2", says: "version 1 cannot reach 4" },
  { what: "a chain that ends early", version: 3, upcast: { 1: () => 0 }, path: "upcast.2", says: "is missing" },
  {
    what: "one from the current version",
    version: 2,
    upcast: { 1: () => 0, 2: () => 0 },
    path: "upcast.2",
    says: "below",
  },
  { what: "version 0", version: 2, upcast: { 0: () => 0 }, path: "upcast.0", says: "from 1" },
  { what: "half a version", version: 2, upcast: { 1.5: () => 0 }, path: "upcast.1.5", says: "from 1" },
  { what: "a word", version: 2, upcast: { one: () => 0 }, path: "upcast.one", says: "from 1" },
  { what: "what is no function", version: 2, upcast: { 1: "v2" }, path: "upcast.1", says: "got string" },
])("$what is refused at definition", ({ version, upcast, path, says }) => {
  const define = () => defineJob({ name: "mail", payload: z.object({}), version, upcast: upcast as Upcasters });
  expect(define).toThrow(JobOptionError);
  expect(define).toThrow(expect.objectContaining({ code: "JOB_OPTION_INVALID", details: { path } }));
  expect(define).toThrow(says);
});

test("an upcaster that throws, or answers a promise, names itself", () => {
  const broken = createUpcast({
    what: "job mail",
    version: 3,
    upcast: {
      1: () => Promise.resolve({}),
      2: () => {
        throw new Error("no locale");
      },
    },
  });
  const failure = (from: number): UpcastError => {
    try {
      broken.apply(from, {});
    } catch (error) {
      if (error instanceof UpcastError) return error;
      throw error;
    }
    throw new Error("it was accepted");
  };
  expect([failure(2).code, failure(2).details["from"]]).toEqual(["PAYLOAD_UPCAST_FAILED", 2]);
  expect(failure(2).message).toContain("from version 2 to 3 failed: no locale");
  expect(failure(1).message).toContain("upcasters are synchronous");
});

test("upcastFrom checks the old payload with the old schema", () => {
  const upcast = createUpcast({
    what: "job mail",
    version: 2,
    upcast: { 1: upcastFrom(z.object({ to: z.string() }), ({ to }) => ({ recipients: [to] })) },
  });
  expect(upcast.apply(1, { to: "a@b.c" })).toEqual({ recipients: ["a@b.c"] });
  expect(() => upcast.apply(1, { to: 5 })).toThrow(UpcastError);
});

test("property: a chain gives what its functions give when called one in the other", () => {
  const steps = array(func(jsonValue()), { minLength: 1, maxLength: 6 });
  assert(
    property(steps, integer({ min: 0, max: 6 }), jsonValue(), (functions, skipped, payload) => {
      const version = functions.length + 1;
      const upcast = createUpcast({
        what: "job",
        version,
        upcast: Object.fromEntries(functions.map((step, index) => [index + 1, step])),
      });
      const from = 1 + Math.min(skipped, functions.length);
      const direct = functions.slice(from - 1).reduce<unknown>((value, step) => step(value), payload);
      expect(upcast.apply(from, payload)).toEqual(direct);
    }),
  );
});

test("property: a chain with any one step missing is refused", () => {
  assert(
    property(
      integer({ min: 3, max: 20 }),
      integer({ min: 2, max: 19 }),
      constant(() => 0),
      (version, hole, step) => {
        const missing = Math.min(hole, version - 1);
        const upcast = Object.fromEntries(
          Array.from({ length: version - 1 }, (_, index) => [index + 1, step] as const).filter(
            ([at]) => at !== missing,
          ),
        );
        expect(() => createUpcast({ what: "job", version, upcast })).toThrow(`upcast.${missing}`);
      },
    ),
  );
});

const version = (number: number, upcast: Upcasters = {}) =>
  handle(defineJob({ name: "mail", payload: z.object({}), version: number, upcast }), () => undefined);
test("a worker's table finds the handler of exactly that version, else the newest that can read it", () => {
  const [two, four] = [version(2, { 1: () => 0 }), version(4, { 1: () => 0, 2: () => 0, 3: () => 0 })];
  const table = tabulate([two, four]);
  expect([1, 2, 3, 4, 5].map((at) => table.find("mail", at))).toEqual([four, two, four, four, undefined]);
  expect(table.versionsOf("mail")).toEqual([1, 2, 3, 4]);
  expect(table.versionsOf("other")).toEqual([]);
});
