/*
 * Who owns a fence row: workflows that claim tables, end, and are followed by others.
 *
 * Three stores, one table, one register. Workflow 0 leads from store 0 to store 1; workflow 1 comes after it, over the ends that SECOND_FROM and SECOND_TO name. Rows are made once and kept.
 *
 *   process   stands for
 *   Writer    gateways with the worst rules there can be: a write goes to any store that has the table. A store without a fence row refuses nothing
 *   Streams   control/streams, in few steps: copy, rows with the marker. What a player wrote is not carried on by another stream
 *   Life      the runner of one workflow: control/workflow/{preparation,ending,requests}.ts. Each step may be taken again and at any later time, by a leader that was paused in front of it. The backends' part is claims.ts
 *   Attempt   coordinators and repairers of a workflow, as in cutover.pml: what was once seen may be acted on for ever, also when the workflow has ended. `ready` and `close` are one step here
 *   Repair    control/cutover/repair-watch.ts of a living process: only while the workflow is armed (control/workflow/armed-moves.ts), only by what the rows say
 *
 * Held to: never two stores that take writes · what is opened holds every committed write · no lost update, whatever the route · traffic flows again, whatever was begun (`flows`, with -DLIVE).
 */
#include "words.pml"

#define NO_TOMBSTONE        1   /* an ended workflow takes its rows with it */
#define NO_OWNER            2   /* transitions do not ask whose the rows are, and any stream's marker will do */
#define ATTEMPTS_RESTART    3   /* the rows of a new workflow begin with attempt 0, and no transition asks whose they are */
#define SWITCH_UNCOPIED     4   /* a cutover does not wait for the end of the copy */
#define CLAIM_OPEN_TARGET   5   /* a store that serves may be claimed as a target */
#define END_DROPS_FIRST     6   /* an ending drops streams and tables before the row that serves is given up */
#define GIVE_UP_CLOSED      7   /* the row that serves is given up also when it does not serve any more */
#define END_UNWATCHED       8   /* nobody repairs a workflow that is being ended */

/* Sizes: writes, attempts, ends of workflow 1. */
#ifndef WRITES
#define WRITES 2
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 2
#endif
#ifndef SECOND_FROM
#define SECOND_FROM 1
#define SECOND_TO 2
#endif

#define NOBODY 9
/* Of each store: its row, its table. */
bit row[3], table[3];
mtype st[3];
byte at[3], own[3], val[3], mark[3], markOf[3];
/* The last to write was a player. */
bit carried[3];
/* Of each workflow and store: the stream into it is there, and the attempt whose marker it has recorded. */
bit stream[6]; byte recorded[6];
#define INTO(w, k) ((w) * 3 + (k))
/* Of each workflow. */
mtype = { NONE, COPYING, ACTIVE, ENDING, ENDED }
mtype life[2];
bit cancelled[2];
byte committed;

#define FROM(w) ((w) == 0 -> 0 : SECOND_FROM)
#define TO(w) ((w) == 0 -> 1 : SECOND_TO)
#define ACCEPTS(k) (table[k] && (!row[k] || st[k] == OPEN))
#define OWNS(w, k) (row[k] && (own[k] == (w) || WEAKENED(NO_OWNER) || WEAKENED(ATTEMPTS_RESTART)))
#define MARKED(w, k, a) (recorded[INTO(w, k)] == (a) || ((WEAKENED(NO_OWNER) || WEAKENED(ATTEMPTS_RESTART)) && (recorded[INTO(0, k)] == (a) || recorded[INTO(1, k)] == (a))))

proctype Writer() {
  byte n, k;
  do
  :: n < WRITES -> n++; if :: k = 0 :: k = 1 :: k = 2 fi;
     if :: atomic { ACCEPTS(k) -> printf("@ write %d is committed on store %d, which holds %d\n", committed + 1, k, val[k]); assert(val[k] == committed); val[k]++; committed++; carried[k] = 0 } :: true fi;
     k = 0
  :: n >= WRITES -> break
  od
}

#define CARRIES(w, s, d) (stream[INTO(w, d)] && row[d] && (own[d] == (w)) && st[d] == CLOSED && table[d] && row[s] && st[s] != CLOSED && ((!carried[s] && val[d] != val[s]) || (markOf[s] == (w) && recorded[INTO(w, d)] != mark[s])))
#define CARRY(w, s, d) atomic { CARRIES(w, s, d) -> if :: !carried[s] && val[d] != val[s] -> val[d] = val[s]; carried[d] = 1 :: else fi; if :: markOf[s] == (w) -> recorded[INTO(w, d)] = mark[s] :: else fi; \
  printf("@ stream of workflow %d: store %d is as store %d, marker %d\n", w, d, s, recorded[INTO(w, d)]) }

proctype Streams() {
end: do
  :: CARRY(0, 0, 1)
  :: CARRY(0, 1, 0)
  :: CARRY(1, SECOND_FROM, SECOND_TO)
  :: CARRY(1, SECOND_TO, SECOND_FROM)
  /* The last chunk of the copy. */
  :: atomic { life[0] == COPYING && stream[INTO(0, 1)] && table[1] && row[1] && own[1] == 0 -> val[1] = val[0]; carried[1] = 1; life[0] = ACTIVE; printf("@ workflow 0: store 1 is copied\n") }
  :: atomic { life[1] == COPYING && stream[INTO(1, SECOND_TO)] && table[SECOND_TO] && row[SECOND_TO] && own[SECOND_TO] == 1 -> val[SECOND_TO] = val[SECOND_FROM]; carried[SECOND_TO] = 1; life[1] = ACTIVE; printf("@ workflow 1: store %d is copied\n", SECOND_TO) }
  od
}

#define FREE(k) (!row[k] || own[k] == NOBODY)
/* `serves` is the end that a `complete` or a `cancel` is refused without: seen before the ending is written down, and not again. */
#define SERVES (cancelled[w] -> from : to)
#define OTHER (cancelled[w] -> to : from)
#define GIVEN_UP(k) (!(row[k] && own[k] == w))
#define AT_REST(k) (st[k] == OPEN || st[k] == CLOSED)

proctype Life(byte w) {
  byte from, to;
  bit targetClaimed;
  atomic { from = FROM(w); to = TO(w) }
end: do
  /* create: one workflow at a time has the tables in the rules. The target is claimed before its table is there. */
  :: atomic { life[w] == NONE && !targetClaimed && (w == 0 || life[0] == ENDED) && FREE(to) && (!row[to] || st[to] == CLOSED || WEAKENED(CLAIM_OPEN_TARGET)) && (row[to] || !table[to]) ->
       if :: !row[to] -> row[to] = 1; st[to] = CLOSED; at[to] = 0 :: WEAKENED(CLAIM_OPEN_TARGET) && row[to] -> st[to] = CLOSED :: else fi;
       own[to] = w; table[to] = 1; targetClaimed = 1; if :: WEAKENED(ATTEMPTS_RESTART) -> at[to] = 0 :: else fi; printf("@ workflow %d: claims store %d as its target\n", w, to) }
  :: atomic { life[w] == NONE && targetClaimed && FREE(from) && (!row[from] || st[from] == OPEN) && table[from] ->
       if :: !row[from] -> row[from] = 1; st[from] = OPEN; at[from] = 0 :: else fi;
       own[from] = w; stream[INTO(w, to)] = 1; life[w] = COPYING; if :: WEAKENED(ATTEMPTS_RESTART) -> at[from] = 0 :: else fi; printf("@ workflow %d: claims store %d as its source\n", w, from) }
  /* ending.ts: `begin` */
  :: atomic { life[w] == ACTIVE && row[to] && st[to] == OPEN && own[to] == w && st[from] == CLOSED -> life[w] = ENDING; printf("@ workflow %d: complete begins\n", w) }
  :: atomic { (life[w] == ACTIVE || life[w] == COPYING) && row[from] && st[from] == OPEN && own[from] == w && st[to] == CLOSED -> life[w] = ENDING; cancelled[w] = 1; printf("@ workflow %d: cancel begins\n", w) }
  /* The row that serves is given up first: no attempt of this workflow can fence it any more. */
  :: atomic { life[w] == ENDING && row[SERVES] && own[SERVES] == w && (st[SERVES] == OPEN || (st[SERVES] == CLOSED && WEAKENED(GIVE_UP_CLOSED))) && (!WEAKENED(END_DROPS_FIRST) || !stream[INTO(w, to)]) -> own[SERVES] = NOBODY; printf("@ workflow %d: gives up store %d\n", w, SERVES);
       if :: WEAKENED(NO_TOMBSTONE) -> row[SERVES] = 0 :: else fi }
  :: atomic { life[w] == ENDING && (GIVEN_UP(SERVES) || WEAKENED(END_DROPS_FIRST)) && stream[INTO(w, to)] -> stream[INTO(w, to)] = 0; printf("@ workflow %d: drops its streams\n", w);
       if :: cancelled[w] && row[to] && own[to] == w && st[to] == CLOSED -> table[to] = 0; val[to] = 0; carried[to] = 0; printf("@ workflow %d: drops the table of store %d\n", w, to) :: else fi }
  :: atomic { life[w] == ENDING && GIVEN_UP(SERVES) && !stream[INTO(w, to)] && row[OTHER] && own[OTHER] == w && AT_REST(OTHER) -> own[OTHER] = NOBODY; printf("@ workflow %d: gives up store %d\n", w, OTHER);
       if :: WEAKENED(NO_TOMBSTONE) -> row[OTHER] = 0 :: else fi }
  :: atomic { life[w] == ENDING && GIVEN_UP(SERVES) && GIVEN_UP(OTHER) && !stream[INTO(w, to)] -> life[w] = ENDED; printf("@ workflow %d: has ended\n", w) }
  od
}

#define CAN_COMMIT (OWNS(w, s) && st[s] == FROZEN && at[s] == a)
#define CAN_READY (OWNS(w, s) && OWNS(w, d) && table[d] && st[s] == SEALED && at[s] == a && st[d] == CLOSED && at[d] < a && MARKED(w, d, a))
#define CAN_OPEN (OWNS(w, d) && table[d] && st[d] == READABLE && at[d] < a)
#define OPENED assert(val[d] == committed); assert(!ACCEPTS(0) || !ACCEPTS(1)); assert(!ACCEPTS(1) || !ACCEPTS(2)); assert(!ACCEPTS(0) || !ACCEPTS(2))

proctype Attempt(byte a) {
  byte w, s, d;
  bit checked, caughtUp;
  atomic { if :: w = 0 :: w = 1 fi; if :: s = FROM(w); d = TO(w) :: s = TO(w); d = FROM(w) fi }
end: do
  /* A coordinator stops here for ever. */
  :: true -> break
  :: atomic { !checked && (life[w] == ACTIVE || (WEAKENED(SWITCH_UNCOPIED) && life[w] == COPYING)) && row[s] && row[d] && own[s] == w && own[d] == w && st[s] == OPEN && st[d] == CLOSED -> checked = 1; stream[INTO(w, d)] = 1;
       printf("@ attempt %d: is to lead workflow %d from store %d to store %d\n", a, w, s, d) }
  :: atomic { checked && OWNS(w, s) && st[s] == OPEN && at[s] < a -> st[s] = FROZEN; at[s] = a; mark[s] = a; markOf[s] = w; printf("@ attempt %d: fence(%d)\n", a, s) }
  :: atomic { checked && !caughtUp && OWNS(w, d) && st[d] == CLOSED && at[d] < a && MARKED(w, d, a) -> caughtUp = 1; printf("@ attempt %d: store %d is seen to have caught up\n", a, d) }
  :: atomic { caughtUp && CAN_COMMIT -> st[s] = SEALED; printf("@ attempt %d: commit(%d)\n", a, s) }
  :: atomic { checked && CAN_COMMIT -> st[s] = OPEN; printf("@ attempt %d: abort(%d)\n", a, s) }
  :: atomic { checked && CAN_READY -> st[d] = READABLE; st[s] = CLOSED; printf("@ attempt %d: ready(%d), close(%d)\n", a, d, s) }
  :: atomic { checked && st[s] == CLOSED && at[s] == a && CAN_OPEN -> st[d] = OPEN; at[d] = a; printf("@ attempt %d: open(%d)\n", a, d); OPENED }
  od
}

#ifdef LIVE
/* decideRepair: one side's rows missing is a conflict while the other is FROZEN, SEALED or READABLE. */
#define ARMED(w) (life[w] == COPYING || life[w] == ACTIVE || (life[w] == ENDING && !WEAKENED(END_UNWATCHED)))
#define BOTH(w) (row[FROM(w)] && row[TO(w)] && own[FROM(w)] == (w) && own[TO(w)] == (w))
#define REPAIRS(w, s, d) \
  :: atomic { ARMED(w) && BOTH(w) && st[s] == FROZEN && st[d] == CLOSED && at[d] < at[s] && recorded[INTO(w, d)] == at[s] -> st[s] = SEALED; printf("@ repair: commit(%d)\n", s) } \
  :: atomic { ARMED(w) && BOTH(w) && st[s] == FROZEN && !(st[d] == CLOSED && at[d] < at[s] && recorded[INTO(w, d)] == at[s]) -> st[s] = OPEN; printf("@ repair: abort(%d)\n", s) } \
  :: atomic { ARMED(w) && BOTH(w) && st[s] == SEALED && st[d] == CLOSED && at[d] < at[s] && table[d] && recorded[INTO(w, d)] == at[s] -> st[d] = READABLE; st[s] = CLOSED; printf("@ repair: ready(%d), close(%d)\n", d, s) } \
  :: atomic { ARMED(w) && BOTH(w) && st[s] == CLOSED && st[d] == READABLE && at[d] < at[s] -> st[d] = OPEN; at[d] = at[s]; printf("@ repair: open(%d)\n", d) }

active proctype Repair() {
end: do
  REPAIRS(0, 0, 1)
  REPAIRS(0, 1, 0)
  REPAIRS(1, SECOND_FROM, SECOND_TO)
  REPAIRS(1, SECOND_TO, SECOND_FROM)
  od
}
/* A fair run needs somebody who can always go on. */
active proctype Tick() { bit t; do :: t = 1 - t od }
ltl flows { <>[](ACCEPTS(0) || ACCEPTS(1) || ACCEPTS(2)) }
#endif

init {
  atomic {
    CHOOSE_WEAKNESS;
    byte i;
    for (i : 0 .. 2) { own[i] = NOBODY; st[i] = OPEN; markOf[i] = NOBODY }
    life[0] = NONE; life[1] = NONE; table[0] = 1;
    run Writer(); run Streams(); run Life(0); run Life(1);
    for (i : 1 .. ATTEMPTS) { run Attempt(i) }
    i = 0
  }
}
