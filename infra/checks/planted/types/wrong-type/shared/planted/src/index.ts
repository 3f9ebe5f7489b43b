export const planted: string = 7;
