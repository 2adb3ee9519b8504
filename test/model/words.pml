/* States of a fence row: core/fence.ts. */
mtype = { OPEN, FROZEN, SEALED, CLOSED, READABLE }

/*
 * The safeguard that is taken away, by its number in the model's list; 0: none. It is no part of the state: the search is told once, by the environment, so that one build of a model serves for all its weakened variants.
 */
hidden byte weak;
#define WEAKENED(safeguard) (weak == safeguard)
#define CHOOSE_WEAKNESS c_code { weak = getenv("WEAK") ? atoi(getenv("WEAK")) : 0; }
