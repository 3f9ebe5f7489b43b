export function planted(value: any): string {
  return value.name;
}
