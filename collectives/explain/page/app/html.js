// preact and htm, as one script before this one leaves them.
export const { html, render, useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } = globalThis.htmPreact;
