export { enqueue } from "./gone.ts";
