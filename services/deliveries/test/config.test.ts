import { describe, expect, test } from "vitest";
import { deliveriesConfig } from "../src/config.ts";

const read = (settings: Record<string, string>) => deliveriesConfig.safeParse(settings);

test("the default schedule is the specification's", () => {
  const { WARREN_DELIVERY_RETRY: schedule } = deliveriesConfig.parse({});
  const hour = 3_600_000;
  expect(schedule).toEqual([5_000, 300_000, 1_800_000, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour]);
});

describe("a schedule", () => {
  test.for([
    ["5s", [5_000]],
    [" 250ms, 1m,1d", [250, 60_000, 86_400_000]],
  ] as const)("%j is read", ([text, delays]) => {
    expect(deliveriesConfig.parse({ WARREN_DELIVERY_RETRY: text }).WARREN_DELIVERY_RETRY).toEqual(delays);
  });

  test.for(["", "5", "5s,", "-5s", "5s,5 m", "1w", "1s,1s,1s,1s,1s,1s,1s,1s,1s,1s"])("%j is refused", (text) => {
    expect(read({ WARREN_DELIVERY_RETRY: text }).success).toBe(false);
  });
});

describe("a header for all deliveries", () => {
  test("is read", () => {
    const { WARREN_DELIVERY_HEADER: header } = deliveriesConfig.parse({ WARREN_DELIVERY_HEADER: "X-Sent-By: shop" });
    expect(header).toEqual({ name: "X-Sent-By", value: "shop" });
  });

  test.for(["no header", "Webhook-Id: mine", "Host: x", "X-A: b\r\nX-B: c", ": x"])("%j is refused", (text) => {
    expect(read({ WARREN_DELIVERY_HEADER: text }).success).toBe(false);
  });
});

test.for(["10.0.0.0/33", "intranet", "10.0.0.1;10.0.0.2"])("the allow list %j is refused", (text) => {
  expect(read({ WARREN_DELIVERY_ALLOW: text }).success).toBe(false);
});
