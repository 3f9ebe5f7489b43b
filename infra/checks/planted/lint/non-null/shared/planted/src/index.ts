export function planted(value: string | undefined): string {
  return value!;
}
