import { Client } from "pg";
import { order } from "../../orders/src/main.ts";
import { orders } from "@warren/orders";
import { errorCatalogue } from "@warren/contracts/src/errors.ts";
import { mailSink } from "@warren/sandbox";

export const planted = [Client, order, orders, errorCatalogue, mailSink];
