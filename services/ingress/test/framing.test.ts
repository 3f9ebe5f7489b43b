import { describe, expect, test } from "vitest";
import { networkOf } from "../src/http/connections.ts";
import { pathOf } from "../src/http/framing.ts";

describe("a request's target is read as a path", () => {
  test.for([
    ["/webhooks/github?a=b", "/webhooks/github?a=b"],
    ["http://hooks.example.com/webhooks/github?a=b", "/webhooks/github?a=b"],
    ["HTTPS://user:pass@hooks.example.com:8443/webhooks/github", "/webhooks/github"],
    ["http://hooks.example.com", "/"],
    ["http://hooks.example.com?x=/webhooks/github", "/?x=/webhooks/github"],
    ["//evil.example/webhooks/github", "//evil.example/webhooks/github"],
    ["*", "*"],
    ["evil:443", "evil:443"],
    ["ftp://evil.example/webhooks/github", "ftp://evil.example/webhooks/github"],
    [undefined, "/"],
  ] as const)("%j as %j", ([target, path]) => {
    expect(pathOf(target)).toBe(path);
  });
});

describe("connections are counted", () => {
  test.for([
    ["192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:1:2::9", "2001:db8:1:2::/64"],
    ["2001:0db8:0001:0002::", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:db8:1:2:3::192.0.2.1", "2001:db8:1:2::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1", "fe80:0:0:0::/64"],
  ] as const)("for %s as for %s", ([address, network]) => {
    expect(networkOf(address)).toBe(network);
  });
});
