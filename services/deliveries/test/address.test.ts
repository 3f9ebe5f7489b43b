import { propertyRuns } from "@warren/testing/properties";
import { assert, constantFrom, integer, ipV4, property, tuple } from "fast-check";
import { describe, expect, test } from "vitest";
import { createAddressGuard } from "../src/address.ts";

const guard = createAddressGuard([]);
const dotted = (number: number) => [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join(".");
const hex = (number: number) => `${(number >>> 16).toString(16)}:${(number & 0xffff).toString(16)}`;

/** First address and how many bits are fixed. */
const refused: readonly (readonly [first: number, bits: number])[] = [
  [0x00000000, 8],
  [0x0a000000, 8],
  [0x64400000, 10],
  [0x7f000000, 8],
  [0xa9fe0000, 16],
  [0xac100000, 12],
  [0xc0000200, 24],
  [0xc0a80000, 16],
  [0xc6120000, 15],
  [0xc6336400, 24],
  [0xcb007100, 24],
  [0xe0000000, 4],
  [0xf0000000, 4],
];

const anyRefused = tuple(constantFrom(...refused), integer({ min: 0, max: 2 ** 28 - 1 })).map(
  ([[first, bits], offset]) => (first + (offset % 2 ** (32 - bits))) >>> 0,
);

/** Ways to write an IPv4 address in a URL. Source: https://url.spec.whatwg.org/#concept-ipv4-parser */
const urlForms: readonly ((number: number) => string)[] = [
  dotted,
  String,
  (number) => `0x${number.toString(16)}`,
  (number) => `0${number.toString(8)}`,
  (number) => `0x${(number >>> 24).toString(16)}.${number & 0xffffff}`,
  (number) => `${dotted(number)}.`,
  (number) => `[::ffff:${dotted(number)}]`,
  (number) => `[::ffff:${hex(number)}]`,
  (number) => `[0:0:0:0:0:ffff:${hex(number)}]`,
  (number) => `[64:ff9b::${dotted(number)}]`,
  (number) => `[64:ff9b::${hex(number)}]`,
  (number) => `[2002:${hex(number)}::1]`,
  (number) => `[::${dotted(number)}]`,
  (number) => `[64:ff9b:1::${hex(number)}]`,
];

const blocked = (number: number) =>
  refused.some(([first, bits]) => number >>> (32 - bits) === first >>> (32 - bits)) ||
  /^(192\.0\.0|192\.31\.196|192\.52\.193|192\.88\.99|192\.175\.48)\./.test(dotted(number)) ||
  dotted(number) === "168.63.129.16";

describe("an address that is not public", () => {
  test("is refused however it is written", () => {
    assert(
      property(anyRefused, constantFrom(...urlForms), (number, form) => {
        const host = new URL(`http://${form(number)}/`).hostname.replaceAll(/^\[|\]$/g, "");
        expect([host, guard(host)]).toEqual([host, false]);
      }),
      { numRuns: propertyRuns(2_000) },
    );
  });

  test.for([
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "100::1",
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "localhost",
    "",
    "fe80::1%eth0",
  ])("%j is one", (address) => {
    expect(guard(address)).toBe(false);
  });
});

describe("a public address", () => {
  test("is allowed, also where IPv6 leads to it", () => {
    assert(
      property(ipV4(), (address) => {
        const number = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
        for (const form of [address, `::ffff:${address}`, `::ffff:${hex(number)}`, `64:ff9b::${hex(number)}`]) {
          expect([form, guard(form)]).toEqual([form, !blocked(number)]);
        }
      }),
      { numRuns: propertyRuns(500) },
    );
  });

  test.for(["2606:4700:4700::1111", "2a00:1450:4001:830::200e", "8.8.8.8"])("%s is one", (address) => {
    expect(guard(address)).toBe(true);
  });
});

describe("the allow list", () => {
  test("lets single addresses and networks pass, and no other", () => {
    const own = createAddressGuard(["10.20.0.0/16", "127.0.0.1", "fd00:12::/32"]);
    expect(["10.20.3.4", "127.0.0.1", "fd00:12::7", "::ffff:10.20.1.1", "8.8.8.8"].map(own)).toEqual(
      Array.from({ length: 5 }, () => true),
    );
    expect(["10.21.0.1", "127.0.0.2", "fd00:13::1", "::1"].map(own)).toEqual(Array.from({ length: 4 }, () => false));
  });

  test.for(["10.0.0.0/33", "10.0.0/8", "example.com", "10.0.0.0/8/8", "::/129", "10.0.0.0/"])("refuses %j", (entry) => {
    expect(() => createAddressGuard([entry])).toThrow(RangeError);
  });
});
