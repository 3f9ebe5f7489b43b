import { describe, expect, test } from "vitest";
import { createDescriptionCheck } from "./description.ts";

const thing = {
  type: "object",
  properties: { name: { type: "string" } },
  required: ["name"],
  additionalProperties: false,
};
const problem = { type: "object", properties: { code: { type: "string" } }, required: ["code"] };
const inJson = { "application/json": { schema: { $ref: "#/components/schemas/Thing" } } };
const check = createDescriptionCheck({
  openapi: "3.1.0",
  paths: {
    "/api/v1/things/{id}": {
      put: {
        requestBody: { content: inJson },
        responses: { "200": { content: inJson }, "204": {}, "404": { content: { "application/problem+json": {} } } },
      },
    },
  },
  components: { schemas: { Thing: thing, Problem: problem } },
});

const good = {
  method: "PUT",
  url: "/api/v1/things/:id",
  status: 200,
  contentType: "application/json; charset=utf-8",
  body: '{"name":"a"}',
  sent: { name: "a" },
};

test("what is as described passes", () => {
  expect(check.judge(good)).toBeUndefined();
  expect(check.judge({ ...good, status: 204, contentType: "", body: "" })).toBeUndefined();
  expect(check.judge({ ...good, url: undefined, status: 404, body: '{"code":"HTTP_NOT_FOUND"}' })).toBeUndefined();
});

describe("told is", () => {
  test.for([
    ["an answer of another shape", { body: '{"name":1}' }, "must be string"],
    ["an answer with more than its schema names", { body: '{"name":"a","secret":"b"}' }, "additional"],
    ["a status that is not described", { status: 201 }, "the status is not described"],
    ["a media type that is not described", { contentType: "text/html" }, "text/html is not described"],
    ["a body that is missing", { body: "" }, "no body"],
    ["a call that was taken with a body that is not as described", { sent: {} }, "took a body"],
    ["a method that is not described", { method: "GET" }, "not described"],
    ["a refusal that is no problem document", { url: undefined, status: 404, body: "{}" }, "code"],
  ] as const)("%s", ([, change, words]) => {
    expect(check.judge({ ...good, ...change })).toContain(words);
  });
});
