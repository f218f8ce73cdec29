/** A fault of the author's files, or of the package as it is installed, in the form that people read. */
export class BuildError extends Error {}
