export enum Planted {
  One,
}
