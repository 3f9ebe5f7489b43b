import { describe, expect, test } from "vitest";
import { addressList, inAddressList, plainAddress } from "../src/address/address-list.ts";
import { clientAddressOf } from "../src/address/client-address.ts";
import { ingressConfig } from "../src/config.ts";

describe("an address is read", () => {
  test.for([
    ["192.0.2.1", "192.0.2.1"],
    [" 192.0.2.1 ", "192.0.2.1"],
    ["192.0.2.1:443", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:192.0.2.1", "192.0.2.1"],
    ["2001:db8::1", "2001:db8::1"],
    ["[2001:db8::1]:443", "2001:db8::1"],
    ["[2001:db8::1]", "2001:db8::1"],
    ["fe80::1%eth0", "fe80::1"],
    ["unknown", undefined],
    ["", undefined],
    ["192.0.2.256", undefined],
    ["192.0.2.1:x", undefined],
    ["[2001:db8::1", undefined],
    ["[2001:db8::1]x", undefined],
    ["192.0.2.1, 192.0.2.2", undefined],
  ] as const)("%j as %j", ([text, address]) => {
    expect(plainAddress(text)).toBe(address);
  });
});

describe("a list of addresses", () => {
  test("holds single addresses and networks of both families", () => {
    const list = addressList(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1"]);
    const inside = ["10.255.255.255", "192.0.2.1", "2001:db8:ffff::1", "::1"];
    const outside = ["11.0.0.0", "192.0.2.2", "2001:db9::1", "::2"];
    expect(inside.filter((address) => inAddressList(list, address))).toEqual(inside);
    expect(outside.filter((address) => inAddressList(list, address))).toEqual([]);
  });

  test.for(["10.0.0.0/33", "10.0.0.0/", "10.0.0", "::1/129", "a", "", "10.0.0.0/8/8", "10.0.0.0/-1"])(
    "refuses %j",
    (entry) => {
      expect(() => addressList([entry])).toThrow(RangeError);
    },
  );
});

const trusting = (proxies: string) => ingressConfig.safeParse({ WARREN_TRUSTED_PROXIES: proxies });

describe("trusted proxies", () => {
  test("are none unless they are named", () => {
    expect(ingressConfig.parse({}).WARREN_TRUSTED_PROXIES).toEqual([]);
    expect(trusting("10.0.0.0/8, ::1").data?.WARREN_TRUSTED_PROXIES).toEqual(["10.0.0.0/8", "::1"]);
  });

  test.for(["0.0.0.0/0", "::/0", "10.0.0.0/8,::/00", "everybody"])("are never %s", (proxies) => {
    expect(trusting(proxies).success).toBe(false);
  });
});

describe("the sender's address", () => {
  const trusted = ["10.0.0.0/8", "::1"];
  test.for<{
    when: string;
    proxies: readonly string[];
    peer: string | undefined;
    forwarded?: string;
    sender: string | undefined;
  }>([
    { when: "there is no proxy", proxies: trusted, peer: "203.0.113.9", sender: "203.0.113.9" },
    {
      when: "the peer is no trusted proxy but claims to be one",
      proxies: trusted,
      peer: "203.0.113.9",
      forwarded: "185.71.76.5",
      sender: "203.0.113.9",
    },
    { when: "nobody is trusted", proxies: [], peer: "10.0.0.1", forwarded: "185.71.76.5", sender: "10.0.0.1" },
    {
      when: "a trusted proxy names it",
      proxies: trusted,
      peer: "10.0.0.1",
      forwarded: "185.71.76.5",
      sender: "185.71.76.5",
    },
    {
      when: "the sender wrote entries of its own",
      proxies: trusted,
      peer: "10.0.0.1",
      forwarded: "185.71.76.5, 203.0.113.9",
      sender: "203.0.113.9",
    },
    {
      when: "two trusted proxies stand in a row",
      proxies: trusted,
      peer: "::1",
      forwarded: "1.1.1.1, 203.0.113.9, 10.2.3.4",
      sender: "203.0.113.9",
    },
    {
      when: "the chain is all trusted",
      proxies: trusted,
      peer: "10.0.0.1",
      forwarded: "10.0.0.3, 10.0.0.2",
      sender: "10.0.0.3",
    },
    {
      when: "the proxy names no address",
      proxies: trusted,
      peer: "10.0.0.1",
      forwarded: "185.71.76.5, unknown",
      sender: undefined,
    },
    { when: "the header is empty", proxies: trusted, peer: "10.0.0.1", forwarded: "", sender: undefined },
    {
      when: "the peer is an IPv4 one on a dual-stack socket",
      proxies: trusted,
      peer: "::ffff:10.0.0.1",
      forwarded: "::ffff:185.71.76.5",
      sender: "185.71.76.5",
    },
    { when: "the connection is gone", proxies: trusted, peer: undefined, forwarded: "185.71.76.5", sender: undefined },
  ])("is $sender when $when", ({ proxies, peer, forwarded, sender }) => {
    expect(clientAddressOf(proxies)(peer, forwarded)).toBe(sender);
  });
});
