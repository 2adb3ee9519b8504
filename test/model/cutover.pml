/*
 * The cutover itself: two stores, fence rows, players, gateways, and any number of coordinators and repairers.
 *
 * One table, one register. Every write adds one to it, so that a write which runs where the newest value is missing is a lost update, and a read that returns less than what was committed before the read arrived is
 * stale. Store 0 serves first, store 1 is the other end.
 *
 *   process   stands for
 *   Gateway   gateway/flow/executor.ts with the worst rules there can be: every call goes to any store at any time. The stores' checks are those of backends/<kind>/owner: PostgreSQL's triggers and rights in fence-sql.ts,
 *             SQLite's triggers and the look at the fence row in a read's own snapshot
 *   Player    control/streams/player.ts and `apply` of backends/<kind>/player: takes a stream's token, reads the log, applies what it has read whenever it likes. A second one of the first direction is forgotten
 *   Attempt   control/cutover/{precheck,hold,catch-up,decision,repair-look,repair}.ts. One process an attempt, not one a coordinator: what anybody has seen of the attempt may be acted on at any later time, again and again,
 *             or never. So every bit below is a coordinator or a repairer that stopped right there: two of them, or two hundred, that crash or pause between any two statements. All attempts have their numbers from the
 *             beginning and begin whenever they like, in either direction, as a coordinator does that was given its number long ago
 *
 * Not here: rules (rules.pml), owners (rows.pml), where logs begin (streams.pml), sequences. Several tables are one here, for every transition changes all rows of a workflow in one transaction.
 *
 * Held to: never two stores open · some store can always be read · `open` only over `close`, the marker and every committed write · attempts never fall · no lost update · no stale read.
 */
#include "words.pml"

/* One safeguard less each; variants.ts says what becomes of it. */
#define NO_WRITE_FENCE      1   /* gateways ask and then write: nothing in the store refuses */
#define NO_READ_FENCE       2   /* reads are answered in every state */
#define NO_DRAIN            3   /* `fence` does not wait for writers that have begun */
#define NO_TOKEN            4   /* a player applies without its token */
#define NO_APPLY_CHECK      5   /* a player applies without its token, in every state */
#define FENCE_ANY_ATTEMPT   6   /* `fence` takes an attempt that is not higher than the row's */
#define NO_MARKER           7   /* neither `commit` nor `ready` waits for the marker */
#define ANY_MARKER          8   /* both are content with the marker of another attempt */
#define COMMIT_ANY_ATTEMPT  9   /* `commit` takes what another attempt has fenced, and `ready` asks for no marker */
#define COMMIT_UNCHECKED    10  /* `commit` in every state */
#define ABORT_DECIDED       11  /* `abort` also after the decision */
#define ABORT_UNCHECKED     12  /* `abort` in every state, of every attempt */
#define READY_UNDECIDED     13  /* `ready` before the decision */
#define READY_ANY_ATTEMPT   14  /* `ready` of an attempt that is over */
#define READY_UNCHECKED     15  /* `ready` in every state, of every attempt, without marker */
#define CLOSE_EARLY         16  /* `close` before the target can be read */
#define CLOSE_UNCHECKED     17  /* `close` in every state, of every attempt */
#define OPEN_BEFORE_CLOSE   18  /* `open` does not wait for `close` */
#define OPEN_ANY_ATTEMPT    19  /* `open` of an attempt that is over */
#define OPEN_UNCHECKED      20  /* `open` in every state, of every attempt */

#ifndef GATEWAYS
#define GATEWAYS 1
#endif
#ifndef OPERATIONS
#define OPERATIONS 2    /* of each gateway, one after the other */
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 2
#endif
#ifndef FORGOTTEN
#define FORGOTTEN 1     /* players of the first direction beside the known one */
#endif
#ifndef STARTS
#define STARTS 1        /* times that a player takes its stream */
#endif

/* A store: its fence row, its data, writers at work, the end of its log. */
mtype st[2];
byte at[2], val[2], writing[2];
byte logged[2], newest[2], mark[2];
/* The stream into a store. */
byte token[2], position[2], recorded[2];
/* Writes that were acknowledged. */
byte committed;

#define CHECK assert(!(st[0] == OPEN && st[1] == OPEN)); assert(st[0] != CLOSED || st[1] != CLOSED)

proctype Gateway() {
  byte n, floor;
  bit x;
  do
  :: n < OPERATIONS -> n++;
     if
     :: /* The trigger finds the row OPEN and keeps it so till the end of the transaction; the table's lock is what `fence` waits for. */
        if :: x = 0 :: x = 1 fi;
        if :: atomic { st[x] == OPEN -> writing[x] = writing[x] + (WEAKENED(NO_WRITE_FENCE) -> 0 : 1); printf("@ gateway: a write begins on store %d\n", x) } :: goto over fi;
        atomic {
          writing[x] = writing[x] - (WEAKENED(NO_WRITE_FENCE) -> 0 : 1); printf("@ gateway: write %d is committed on store %d, which holds %d\n", committed + 1, x, val[x]);
          assert(val[x] == committed); val[x]++; committed++; logged[x]++; newest[x] = val[x]
        }
     :: atomic { floor = committed; if :: x = 0 :: x = 1 fi; printf("@ gateway: a read arrives after write %d\n", committed) };
        if :: atomic { st[x] != CLOSED || WEAKENED(NO_READ_FENCE) -> printf("@ gateway: store %d answers the read with %d\n", x, val[x]); assert(val[x] >= floor) } :: goto over fi
     fi;
over: atomic { floor = 0; x = 0 }
  :: n >= OPERATIONS -> break
  od
}

#define MAY_APPLY ((token[into] == mine || WEAKENED(NO_TOKEN) || WEAKENED(NO_APPLY_CHECK)) && (st[into] == CLOSED || WEAKENED(NO_APPLY_CHECK)))

proctype Player(byte id; bit from; bit into) {
  byte mine, starts, read, upTo, marker;
  bit batch, rows;
  do
  :: atomic {
       starts < STARTS && !batch -> starts++; token[into]++; mine = token[into]; upTo = position[into]; marker = recorded[into];
       printf("@ player %d: takes the stream into store %d\n", id, into)
     }
  :: atomic {
       mine != 0 && !batch && (logged[from] != upTo || mark[from] != marker) -> batch = 1; rows = (logged[from] != upTo);
       read = newest[from]; upTo = logged[from]; marker = mark[from]; printf("@ player %d: reads the log of store %d up to write %d and marker %d\n", id, from, read, marker)
     }
  :: atomic {
       batch && MAY_APPLY -> if :: rows -> val[into] = read :: else fi; position[into] = upTo; if :: marker > recorded[into] -> recorded[into] = marker :: else fi;
       batch = 0; rows = 0; read = 0; printf("@ player %d: applies that to store %d, which holds %d now\n", id, into, val[into])
     }
  :: atomic { batch && !MAY_APPLY -> batch = 0; rows = 0; read = 0; mine = 0; upTo = 0; marker = 0; printf("@ player %d: is refused by store %d\n", id, into) }
  :: starts >= STARTS && !batch -> break
  od
}

#define MARKED (recorded[to] == a || WEAKENED(NO_MARKER) || (WEAKENED(ANY_MARKER) && recorded[to] != 0))

proctype Attempt(byte a) {
  bit from, to;
  /* What somebody has seen, and may act on. */
  bit checked, caughtUp, decided, readable, closed;
  atomic { if :: from = 0 :: from = 1 fi; to = 1 - from }
  do
  /* precheck.ts */
  :: atomic { !checked && st[from] == OPEN && st[to] == CLOSED -> checked = 1; printf("@ attempt %d: is to lead from store %d to store %d\n", a, from, to) }
  :: atomic {
       checked && writing[from] * (WEAKENED(NO_DRAIN) -> 0 : 1) == 0 && st[from] == OPEN && (at[from] < a || (WEAKENED(FENCE_ANY_ATTEMPT) && at[from] != a)) ->
       assert(at[from] < a); st[from] = FROZEN; at[from] = a; mark[from] = a; printf("@ attempt %d: fence(%d), the marker is behind write %d\n", a, from, newest[from])
     }
  /* catch-up.ts, and `hasCaughtUp` of repair-look.ts */
  :: atomic { checked && !caughtUp && st[to] == CLOSED && at[to] < a && MARKED -> caughtUp = 1; printf("@ attempt %d: store %d is seen to have caught up\n", a, to) }
  :: atomic {
       caughtUp && ((st[from] == FROZEN && (at[from] == a || WEAKENED(COMMIT_ANY_ATTEMPT))) || (WEAKENED(COMMIT_UNCHECKED) && st[from] != SEALED)) ->
       st[from] = SEALED; printf("@ attempt %d: commit(%d)\n", a, from); CHECK
     }
  :: atomic {
       checked && ((at[from] == a && (st[from] == FROZEN || (WEAKENED(ABORT_DECIDED) && st[from] == SEALED))) || (WEAKENED(ABORT_UNCHECKED) && st[from] != OPEN)) ->
       st[from] = OPEN; printf("@ attempt %d: abort(%d)\n", a, from); CHECK
     }
  /* `commit` succeeded, or found its wish come true; the repair found the row; an abort came too late */
  :: atomic {
       !decided && at[from] == a && (st[from] == SEALED || st[from] == CLOSED || (WEAKENED(READY_UNDECIDED) && st[from] == FROZEN && caughtUp)) ->
       decided = 1; printf("@ attempt %d: store %d is seen to be decided\n", a, from)
     }
  :: atomic {
       decided && ((st[to] == CLOSED && (MARKED || WEAKENED(COMMIT_ANY_ATTEMPT)) && (at[to] < a || WEAKENED(READY_ANY_ATTEMPT))) || (WEAKENED(READY_UNCHECKED) && st[to] != READABLE)) ->
       st[to] = READABLE; printf("@ attempt %d: ready(%d)\n", a, to); CHECK
     }
  /* As loose as `passed` of decision.ts: readable for whichever attempt */
  :: atomic { !readable && decided && (st[to] == READABLE || WEAKENED(CLOSE_EARLY)) -> readable = 1; printf("@ attempt %d: store %d is taken to be readable\n", a, to) }
  :: atomic { readable && ((st[from] == SEALED && at[from] == a) || (WEAKENED(CLOSE_UNCHECKED) && st[from] != CLOSED)) -> st[from] = CLOSED; printf("@ attempt %d: close(%d)\n", a, from); CHECK }
  :: atomic { !closed && ((st[from] == CLOSED && at[from] == a) || (WEAKENED(OPEN_BEFORE_CLOSE) && readable)) -> closed = 1; printf("@ attempt %d: store %d is taken to be closed\n", a, from) }
  :: atomic {
       closed && ((st[to] == READABLE && (at[to] < a || WEAKENED(OPEN_ANY_ATTEMPT))) || (WEAKENED(OPEN_UNCHECKED) && st[to] != OPEN)) -> printf("@ attempt %d: open(%d)\n", a, to);
       assert(at[to] < a); st[to] = OPEN; at[to] = a; token[to]++; CHECK;
       assert(st[from] == CLOSED && at[from] == a && val[to] == committed)
     }
  od
}

init {
  atomic {
    CHOOSE_WEAKNESS;
    st[0] = OPEN; st[1] = CLOSED;
    byte i;
    for (i : 1 .. GATEWAYS) { run Gateway() }
    run Player(1, 0, 1); run Player(2, 1, 0);
    for (i : 1 .. FORGOTTEN) { run Player(2 + i, 0, 1) }
    for (i : 1 .. ATTEMPTS) { run Attempt(i) }
    i = 0
  }
}
