/** `WARREN_PROPERTY_FACTOR` (default 1) makes model-based properties try so many times more sequences, in so many times the time. */
const factor = Number(process.env["WARREN_PROPERTY_FACTOR"] ?? 1);

export const propertyRuns = (usual: number): number => usual * factor;
export const propertyTimeout = (usualMs: number): number => usualMs * factor;
