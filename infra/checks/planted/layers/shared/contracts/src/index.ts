import "pino";
import { enqueue } from "@warren/jobs";

export const planted = enqueue;
