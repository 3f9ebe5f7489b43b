export function planted(values: string[]): string {
  return values[0];
}
