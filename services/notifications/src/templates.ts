import { currentTemplateVersion, type Recipient, templateCatalogue } from "@warren/contracts";
import Handlebars from "handlebars";
import type { z } from "zod";
import { cleanData, oneLine } from "./clean.ts";
import { InvalidLocaleError, InvalidTemplateDataError, UnknownTemplateError } from "./errors.ts";
import { createFormats, type Formats } from "./formats.ts";
import { readTemplateFiles, type TemplateSource } from "./template-files.ts";

interface RenderRequest {
  readonly template: string;
  /** Default: the current version. */
  readonly version?: number | undefined;
  readonly user: Pick<Recipient, "name"> & { readonly locale: string };
  readonly data: Readonly<Record<string, unknown>>;
}

export interface RenderedMessage {
  readonly template: string;
  readonly version: number;
  /** The language of the texts; not always the recipient's. */
  readonly language: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

export interface Templates {
  /** Throws `UnknownTemplateError`, `InvalidLocaleError`, `InvalidTemplateDataError`; none can succeed on a retry. */
  render(request: RenderRequest): RenderedMessage;
  /** Every version that can be rendered, with its languages. */
  readonly versions: readonly {
    readonly template: string;
    readonly version: number;
    readonly languages: readonly string[];
  }[];
}

const fallbackLanguage = "en";
const maxSubjectLength = 200;

type Version = { readonly schema: z.ZodObject; readonly languages: ReadonlyMap<string, CompiledTexts> };
type CompiledTexts = { readonly [Part in "subject" | "text" | "html"]: Handlebars.TemplateDelegate };

/** Compiles every template under `directory` now, so that a broken one stops the start and not a message. */
export async function openTemplates(options: {
  readonly directory: string;
  /** IANA zone that moments are shown in. */
  readonly timeZone: string;
}): Promise<Templates> {
  const sources = await readTemplateFiles(options.directory);
  const engine = createEngine(createFormats({ timeZone: options.timeZone }), sources.layouts);
  const versions = new Map<string, Map<number, Version>>();
  for (const [template, schemas] of Object.entries(templateCatalogue)) {
    const entries = Object.entries<z.ZodObject>(schemas).map(([number, schema]): [number, Version] => {
      const own = sources.templates.filter((one) => one.template === template && one.version === Number(number));
      const languages = new Map(own.map((source) => [source.language, engine.compile(source)]));
      if (!languages.has(fallbackLanguage)) {
        throw new Error(
          `Template ${template} version ${number} has no ${fallbackLanguage} texts in ${options.directory}.`,
        );
      }
      return [Number(number), { schema, languages }];
    });
    versions.set(template, new Map(entries));
  }

  return {
    versions: [...versions].flatMap(([template, numbers]) =>
      [...numbers].map(([version, { languages }]) => ({ template, version, languages: [...languages.keys()] })),
    ),
    render({ template, version: wanted, user, data }) {
      const numbers = versions.get(template);
      if (numbers === undefined) {
        throw new UnknownTemplateError(template, undefined, [...versions.keys()]);
      }
      const version = wanted ?? currentVersion(template);
      const found = numbers.get(version);
      if (found === undefined) {
        throw new UnknownTemplateError(
          template,
          version,
          [...numbers.keys()].map((number) => `version ${number}`),
        );
      }
      const { language, locale } = chooseLanguage(user.locale, found.languages);
      const texts = found.languages.get(language);
      if (texts === undefined) {
        throw new UnknownTemplateError(template, version, [...found.languages.keys()]);
      }
      const context = {
        user: { name: user.name === undefined ? undefined : oneLine(user.name) },
        data: cleanData(checkedData(found.schema, data, template, version)),
        language,
        locale,
      };
      return { template, version, language, ...run(texts, context, template, version) };
    },
  };
}

function currentVersion(template: string): number {
  const current: Readonly<Record<string, number>> = currentTemplateVersion;
  return current[template] ?? 1;
}

/**
 * The language of the texts, and the locale that amounts and dates are written in: the reader's own when the language is theirs
 * (`en-GB` reads English texts with British dates), else that of the texts.
 */
function chooseLanguage(
  tag: string,
  languages: ReadonlyMap<string, unknown>,
): { readonly language: string; readonly locale: string } {
  const locale = parseLocale(tag);
  return languages.has(locale.language)
    ? { language: locale.language, locale: locale.baseName }
    : { language: fallbackLanguage, locale: fallbackLanguage };
}

function parseLocale(tag: string): Intl.Locale {
  try {
    return new Intl.Locale(tag.replaceAll("_", "-"));
  } catch (cause) {
    throw new InvalidLocaleError(tag, cause);
  }
}

/** The data with every key of the schema present: in strict mode a text may ask for an absent optional field only if it is there as undefined. */
function checkedData(
  schema: z.ZodObject,
  data: Readonly<Record<string, unknown>>,
  template: string,
  version: number,
): Record<string, unknown> {
  const parsed = schema.safeParse(data);
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => `${issue.path.join(".") || "data"}: ${issue.message}`);
    throw new InvalidTemplateDataError(template, version, issues, parsed.error);
  }
  return Object.fromEntries(Object.keys(schema.shape).map((key) => [key, parsed.data[key]]));
}

function run(texts: CompiledTexts, context: object, template: string, version: number) {
  try {
    const subject = oneLine(texts.subject(context)).slice(0, maxSubjectLength);
    return { subject, text: texts.text({ ...context, subject }), html: texts.html({ ...context, subject }) };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new InvalidTemplateDataError(template, version, [reason], cause);
  }
}

/** Two engines over one set of helpers: html escapes what it inserts, subject and text do not. */
function createEngine(formats: Formats, layouts: ReadonlyMap<string, string>) {
  const engine = Handlebars.create();
  const helpers: Record<string, Handlebars.HelperDelegate> = {
    money: (amount: { value: string; currency: string }, options: Handlebars.HelperOptions) =>
      formats.money(locale(options), amount),
    moment: (iso: string, options: Handlebars.HelperOptions) => formats.moment(locale(options), iso),
    is: (left: unknown, right: unknown) => left === right,
  };
  engine.registerHelper(helpers);
  const rules = {
    strict: true,
    knownHelpersOnly: true,
    knownHelpers: Object.fromEntries(Object.keys(helpers).map((name) => [name, true])),
    preventIndent: true,
  };
  for (const [name, source] of layouts) {
    engine.registerPartial(name, engine.compile(source, rules));
  }
  return {
    compile: (source: TemplateSource): CompiledTexts => ({
      subject: engine.compile(source.subject, { ...rules, noEscape: true }),
      text: engine.compile(source.text, { ...rules, noEscape: true }),
      html: engine.compile(source.html, rules),
    }),
  };
}

/** The locale of the message being rendered: part of every context. */
function locale(options: Handlebars.HelperOptions): string {
  return (options.data as { root: { locale: string } }).root.locale;
}
