import { propertySettings } from "@warren/testing/properties";
import { configureGlobal } from "fast-check";

configureGlobal(propertySettings);
