export const planted = {
    indented: "too far" };
