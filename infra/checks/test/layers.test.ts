import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { layerViolations } from "../src/layers.ts";

const repository = fileURLToPath(new URL("../../..", import.meta.url));
const planted = fileURLToPath(new URL("../planted/layers", import.meta.url));

test("every room imports only from rooms that it may know", () => {
  expect(layerViolations(repository)).toEqual([]);
});

test("each kind of trespass is found, in manifests and in sources", () => {
  expect(layerViolations(planted)).toEqual([
    "services/ingress/src/main.ts: pg belongs behind shared/ledger, shared/testing",
    'services/ingress/src/main.ts: "../../orders/src/main.ts" leaves the package; import it by its name',
    "services/ingress/src/main.ts: nothing may import a service, and @warren/orders is one",
    "services/ingress/src/main.ts: only what the index of @warren/contracts exports may be imported",
    "services/ingress/src/main.ts: services may not import from infra, and @warren/sandbox is there",
    "services/orders/package.json: the package must be called @warren/orders",
    "services/orders/package.json: nothing may import a service, and @warren/ingress is one",
    "shared/amqp/package.json: amqp never meets ledger",
    "shared/amqp/src/index.ts: amqp never meets ledger",
    "shared/contracts/src/index.ts: shared/contracts may import only from rooms above it, and jobs is not",
    "shared/contracts/src/index.ts: contracts imports nothing but zod",
    'shared/jobs/src/index.ts: "./gone.ts" is not there',
    "shared/jobs/test/circle.test.ts: @warren/testing/jobs stands behind shared/jobs",
    "shared/ledger/src/index.ts: ledger never meets amqp",
    "shared/newcomer/package.json: shared/newcomer has no place in the import order yet; give it one in infra/checks/src/layers.ts",
    "shared/testing/src/index.ts: testing imports only contracts and ledger, except in src/jobs",
    'shared/testing/src/index.ts: "./jobs/index.ts" is one of the helpers in src/jobs, which the index must not reach',
  ]);
});
