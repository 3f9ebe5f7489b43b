import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { currentTemplateVersion, templateCatalogue } from "@warren/contracts";
import { describe, expect, test } from "vitest";
import { openTemplates, type Templates } from "../src/templates.ts";

const directory = fileURLToPath(new URL("../templates", import.meta.url));
const templates: Templates = await openTemplates({ directory, timeZone: "UTC" });

const moment = "2026-11-22T05:00:00Z";
const samples: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  "webhook-received@1": { source: "github", event: "push", requestId: crypto.randomUUID(), receivedAt: moment },
  "payment-succeeded@1": {
    provider: "yookassa",
    paymentId: "22d6d597",
    amount: { value: "1234.50", currency: "RUB" },
    paidAt: moment,
  },
  "payment-status@1": {
    provider: "yookassa",
    paymentId: "22d6d597",
    status: "canceled",
    amount: { value: "1234.50", currency: "RUB" },
    at: moment,
  },
  "endpoint-disabled@1": {
    url: "https://hooks.example.com/warren",
    cause: "gone",
    failingSince: moment,
    lastFailure: "the endpoint answered 410",
  },
  "welcome@1": { product: "Warren" },
  "welcome@2": { product: "Warren", signInUrl: "https://example.com/in" },
};

const versions = Object.entries(templateCatalogue).flatMap(([template, numbers]) =>
  Object.keys(numbers).map((version) => ({ template, version: Number(version) })),
);
const everyText = versions.flatMap((one) => ["en", "ru"].map((locale) => ({ ...one, locale })));

function render(template: string, user: { locale: string; name?: string }, data?: Record<string, unknown>) {
  const version = (currentTemplateVersion as Record<string, number>)[template] ?? 1;
  return templates.render({ template, user, data: { ...samples[`${template}@${version}`], ...data } });
}

test.for(everyText)(
  "$template version $version can be rendered in $locale, without and with every optional field",
  (one) => {
    const data = samples[`${one.template}@${one.version}`] ?? {};
    const full = {
      ...data,
      summary: "in short",
      eventId: "evt_1",
      description: "a book",
      test: true,
      reason: "expired",
    };
    for (const [user, fields] of [
      [{ locale: one.locale }, data],
      [{ locale: one.locale, name: "Anna" }, full],
    ] as const) {
      const message = templates.render({ template: one.template, version: one.version, user, data: fields });
      expect(message.language).toBe(one.locale);
      for (const part of [message.subject, message.text, message.html]) {
        expect(part).not.toMatch(/undefined|\[object|\{\{/);
        expect(part.length).toBeGreaterThan(5);
      }
      expect(message.html).toContain(`<html lang="${one.locale}">`);
    }
  },
);

describe("languages", () => {
  test.for([
    { locale: "ru", language: "ru", subject: "Оплата получена: 1 234,50 ₽" },
    { locale: "ru-RU", language: "ru", subject: "Оплата получена: 1 234,50 ₽" },
    { locale: "ru_BY", language: "ru", subject: "Оплата получена: 1 234,50 ₽" },
    { locale: "en", language: "en", subject: "Receipt: RUB 1,234.50" },
    { locale: "en-GB", language: "en", subject: "Receipt: RUB 1,234.50" },
    { locale: "de-CH", language: "en", subject: "Receipt: RUB 1,234.50" },
    { locale: "zh-Hant-TW", language: "en", subject: "Receipt: RUB 1,234.50" },
  ])("a reader of $locale gets $language texts", ({ locale, language, subject }) => {
    const message = render("payment-succeeded", { locale });
    expect(message.language).toBe(language);
    expect(message.subject.replaceAll(/\s/gu, " ")).toBe(subject);
  });

  test("dates follow the reader's country where the language is theirs", () => {
    expect(render("payment-succeeded", { locale: "en-GB" }).text).toContain("22 November 2026");
    expect(render("payment-succeeded", { locale: "en-US" }).text).toContain("November 22, 2026");
    expect(render("payment-succeeded", { locale: "ru" }).text).toContain("22 ноября 2026");
  });

  test.for(["", "e", "english please", "ru\r\nBcc: x", "../../etc"])("the locale %j is refused for good", (locale) => {
    expect(() => render("welcome", { locale })).toThrow(
      expect.objectContaining({ code: "TEMPLATE_LOCALE_INVALID", retryable: false }),
    );
  });
});

describe("injection", () => {
  const hostile = "<script>alert(1)</script>\"' onload=x &amp; {{secret}}";

  test("html escapes what it inserts, text does not", () => {
    const message = render("payment-succeeded", { locale: "en", name: hostile }, { description: hostile });
    expect(message.html).not.toContain("<script>");
    expect(message.html).not.toContain("\"' onload");
    expect(message.html).toContain("&lt;script&gt;");
    expect(message.text).toContain(hostile);
  });

  test("a line break in data starts no new line in the subject or the text, so no header and no forged line", () => {
    const message = render(
      "webhook-received",
      { locale: "en", name: "Eve\r\n\r\nReset your password:" },
      {
        source: "github\r\nBcc: victim@example.com",
        event: "push\u2028X-Injected: 1\u0000",
        summary: "one\nRequest:   forged",
      },
    );
    expect(message.subject).toBe("github Bcc: victim@example.com: push X-Injected: 1");
    expect(message.text).not.toMatch(/^(Bcc|X-Injected|Reset|Request: {3}forged)/m);
  });

  test("marks that reverse the reading direction are dropped", () => {
    expect(render("payment-succeeded", { locale: "en" }, { description: "exe\u202Efdp" }).text).not.toContain("\u202E");
  });

  test("data is data: an expression in it is not evaluated, nor does it reach an object's prototype", () => {
    const message = render("welcome", { locale: "en", name: "{{data.product}}{{constructor.name}}" });
    expect(message.text).toContain("{{data.product}}{{constructor.name}}");
  });

  test("only http and https links are taken", () => {
    expect(() => render("welcome", { locale: "en" }, { signInUrl: "javascript:alert(1)" })).toThrow(
      expect.objectContaining({ code: "TEMPLATE_DATA_INVALID" }),
    );
  });

  test("a subject is at most 200 characters", () => {
    expect(render("webhook-received", { locale: "en" }, { event: "x".repeat(400) }).subject).toHaveLength(200);
  });
});

describe("what cannot be rendered is refused for good, with the reason", () => {
  test.for([
    { when: "the template is unknown", request: { template: "nope" }, code: "TEMPLATE_UNKNOWN", says: "welcome" },
    { when: "its name is an object's own", request: { template: "constructor" }, code: "TEMPLATE_UNKNOWN", says: "" },
    {
      when: "the version is unknown",
      request: { template: "welcome", version: 9 },
      code: "TEMPLATE_UNKNOWN",
      says: "9",
    },
    {
      when: "a field is missing",
      request: { template: "welcome", data: { product: "Warren" } },
      code: "TEMPLATE_DATA_INVALID",
      says: "signInUrl",
    },
    {
      when: "a nested field is wrong",
      request: {
        template: "payment-succeeded",
        data: { ...samples["payment-succeeded@1"], amount: { value: "1,5", currency: "RUB" } },
      },
      code: "TEMPLATE_DATA_INVALID",
      says: "amount.value",
    },
  ])("$when", ({ request, code, says }) => {
    expect(() => templates.render({ user: { locale: "en" }, data: {}, ...request })).toThrow(
      expect.objectContaining({ code, retryable: false, message: expect.stringContaining(says) }),
    );
  });

  test("a folder without English texts stops the start", async () => {
    const empty = await mkdtemp(join(tmpdir(), "warren-templates-"));
    await expect(openTemplates({ directory: empty, timeZone: "UTC" })).rejects.toThrow(/has no en texts/);
    await rm(empty, { recursive: true });
  });
});

test("without a version the current one is rendered, and an old version still is", () => {
  expect(render("welcome", { locale: "en" }).version).toBe(2);
  const old = templates.render({
    template: "welcome",
    version: 1,
    user: { locale: "ru" },
    data: { product: "Warren" },
  });
  expect(old).toMatchObject({ version: 1, subject: "Добро пожаловать в Warren" });
});
