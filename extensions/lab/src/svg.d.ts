/** The build hands icons over as their source. */
declare module '*.svg' {
  const source: string;
  export default source;
}
