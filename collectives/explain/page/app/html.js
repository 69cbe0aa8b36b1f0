// preact and htm: the script before this one leaves them there.
export const { html, render, useEffect, useMemo, useRef, useState } = globalThis.htmPreact;
