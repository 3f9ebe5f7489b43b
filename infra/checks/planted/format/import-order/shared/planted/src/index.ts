import { z } from "zod";
import { join } from "node:path";

export const planted = [z, join];
