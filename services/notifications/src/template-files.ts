import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** The sources of one template version in one language. */
export interface TemplateSource {
  readonly template: string;
  readonly version: number;
  readonly language: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

export interface TemplateSources {
  readonly templates: readonly TemplateSource[];
  /** Frames that html texts are set in, by name: `layouts/v1.html.hbs` is `layout-v1`. */
  readonly layouts: ReadonlyMap<string, string>;
}

/** Reads `<template>/v<version>/<language>.{subject,text,html}.hbs` and `layouts/v<version>.html.hbs`. A missing part is an error. */
export async function readTemplateFiles(directory: string): Promise<TemplateSources> {
  const templates: TemplateSource[] = [];
  const layouts = new Map<string, string>();
  for (const name of await readdir(directory)) {
    if (name === "layouts") {
      for (const file of await readdir(join(directory, name))) {
        const layout = `layout-${file.replace(/\.html\.hbs$/, "")}`;
        layouts.set(layout, await readFile(join(directory, name, file), "utf8"));
      }
      continue;
    }
    for (const folder of await readdir(join(directory, name))) {
      templates.push(...(await readVersion(join(directory, name, folder), name, Number(folder.replace(/^v/, "")))));
    }
  }
  return { templates, layouts };
}

async function readVersion(directory: string, template: string, version: number): Promise<TemplateSource[]> {
  const files = await readdir(directory);
  const languages = new Set(files.map((file) => file.split(".")[0] ?? ""));
  return await Promise.all(
    [...languages].map(async (language) => {
      const part = (kind: string) => readFile(join(directory, `${language}.${kind}.hbs`), "utf8");
      const [subject, text, html] = await Promise.all([part("subject"), part("text"), part("html")]);
      return { template, version, language, subject: subject.trim(), text, html };
    }),
  );
}
