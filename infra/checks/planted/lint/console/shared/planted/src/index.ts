export function planted(): void {
  console.log("planted");
}
