export function planted(values: number[]): void {
  values.forEach(async (value) => {
    await Promise.resolve(value);
  });
}
