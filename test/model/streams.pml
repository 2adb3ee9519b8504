/*
 * Where the log of a stream begins, and who may say so. A stream that begins anew at a later place than its target has reached loses what lies between, and nobody is told: marker and token are kept.
 *
 * Store 0 serves first. The stream into store 1 is made when the workflow is prepared; the one into store 0, the way back, is made anew before each switch that leads to store 1. One register, as in cutover.pml.
 *
 *   process   stands for
 *   Writer    gateways: writes to whichever store is OPEN
 *   Player    control/streams/player.ts, one for each direction: takes the stream's token and position, fails loudly when the log does not reach back so far (`checkSlot` of log-shape.ts, the `confirmed` of SQLite's log), reads, applies
 *   Leader    control/workflow/preparation.ts (step `stream`) and control/cutover/prepare.ts (step `reverse-stream`). Two of them, as the workflow's lock is no safety: each looks, and acts on what it saw at any later time. The backends' part is `beginStream` (backends/stream-beginning.ts), which compares token and rows in the transaction that begins the stream
 *   Switch    the rest of a cutover in few steps: `fence`, then `abort`, or everything up to `open` once the marker is recorded
 *
 * Held to: what is opened holds every committed write.
 */
#include "words.pml"

#define RESTART_BLIND       1   /* a stream begins anew whatever has happened since it was found to be needed */
#define RESTART_ANY_TOKEN   2   /* a stream begins anew also when somebody has taken it meanwhile */
#define RESTART_ANY_STATE   3   /* a stream begins anew also when its tables have been switched meanwhile */
#define NO_LOG_CHECK        4   /* a player does not ask whether the log reaches back to its position */

/* Sizes: writes, attempts of a switch, times that each leader makes a stream. */
#ifndef WRITES
#define WRITES 2
#endif
#ifndef SWITCHES
#define SWITCHES 2
#endif
#ifndef TURNS
#define TURNS 2
#endif

mtype st[2];
byte val[2], logged[2], newest[2], mark[2];
/* From where on the log is kept for the stream out of this store; NONE: not at all. */
#define NONE 99
byte kept[2];
/* The stream into a store; NONE: not made yet. */
byte position[2], token[2], recorded[2];
byte committed, attempt;
/* The journal's word, and whether the existing rows are on store 1. */
bit prepared, copied;

active proctype Writer() {
  byte n; bit x;
  do
  :: atomic { n < WRITES && (st[0] == OPEN || st[1] == OPEN) -> n++; x = (st[0] == OPEN -> 0 : 1); val[x]++; committed++; logged[x]++; newest[x] = val[x]; printf("@ write %d is committed on store %d\n", committed, x); x = 0 }
  :: n >= WRITES -> break
  od
}

proctype Player(bit from; bit into) {
  byte mine, upTo, read, marker; bit batch, rows, refused;
  do
  /* Whoever was refused begins again when the stream is another's. */
  :: atomic { position[into] != NONE && token[into] != mine && !batch -> token[into]++; refused = 0; mine = token[into]; upTo = position[into]; marker = recorded[into]; printf("@ player: takes the stream into store %d at place %d\n", into, upTo) }
  :: atomic {
       mine != 0 && !batch && !refused && kept[from] != NONE && (kept[from] <= upTo || WEAKENED(NO_LOG_CHECK)) && (logged[from] != upTo || mark[from] != marker) ->
       batch = 1; rows = (logged[from] > upTo && logged[from] > kept[from]); read = newest[from]; upTo = logged[from]; marker = mark[from]; printf("@ player: reads the log of store %d up to place %d and marker %d\n", from, upTo, marker)
     }
  :: atomic {
       batch && token[into] == mine && st[into] == CLOSED -> batch = 0; if :: rows -> val[into] = read :: else fi; rows = 0; read = 0; position[into] = upTo;
       if :: marker > recorded[into] -> recorded[into] = marker :: else fi; printf("@ player: applies that to store %d, which holds %d now\n", into, val[into])
     }
  :: atomic { batch && !(token[into] == mine && st[into] == CLOSED) -> batch = 0; rows = 0; read = 0; upTo = position[into]; marker = recorded[into]; refused = 1; printf("@ player: is refused by store %d\n", into) }
  /* A copied chunk lies between two watermarks of the log that is followed: to the register it is the present value, at the place that is reached. */
  :: atomic { into == 1 && !copied && mine != 0 && !batch && token[into] == mine && st[into] == CLOSED && kept[from] != NONE && kept[from] <= upTo -> copied = 1; val[1] = val[0]; printf("@ player: copies, store 1 holds %d now\n", val[1]) }
  od
}

/* The stream's row has the token that was seen, and its tables the state that they had: in one transaction with the new beginning. */
#define SAME(into, state) ((token[into] == seen || WEAKENED(RESTART_BLIND) || WEAKENED(RESTART_ANY_TOKEN)) && (st[into] == state || WEAKENED(RESTART_BLIND) || WEAKENED(RESTART_ANY_STATE)))

proctype Leader(byte id) {
  byte begins, seen, turns;
  do
  /* The first stream. */
  :: atomic { turns < TURNS && !prepared -> turns++; seen = token[1]; printf("@ leader %d: is to make the stream into store 1\n", id) };
     if :: atomic { true -> kept[0] = logged[0]; begins = logged[0]; printf("@ leader %d: the log of store 0 is kept anew, from place %d\n", id, begins) } :: goto stopped fi;
     if :: atomic { SAME(1, CLOSED) -> position[1] = begins; token[1] = token[1] + 1; prepared = 1; printf("@ leader %d: the stream into store 1 begins at place %d\n", id, begins) }
     :: atomic { !SAME(1, CLOSED) -> printf("@ leader %d: somebody else has gone on with the stream\n", id) } fi;
     atomic { begins = 0; seen = 0 }
  /* The way back: its token is read before the look that says that nothing has been switched. */
  :: atomic { turns < TURNS && prepared && copied -> turns++; seen = token[0] };
     if :: atomic { st[0] == OPEN && st[1] == CLOSED -> printf("@ leader %d: nothing is switched, the way back is to be made\n", id) } :: atomic { !(st[0] == OPEN && st[1] == CLOSED) -> seen = 0; goto again } fi;
     if :: atomic { true -> kept[1] = logged[1]; begins = logged[1]; printf("@ leader %d: the log of store 1 is kept anew, from place %d\n", id, begins) } :: goto stopped fi;
     if :: atomic { SAME(0, OPEN) -> position[0] = begins; token[0] = token[0] + 1; printf("@ leader %d: the stream into store 0 begins at place %d\n", id, begins) }
     :: atomic { !SAME(0, OPEN) -> printf("@ leader %d: somebody else has gone on with the stream\n", id) } fi;
     atomic { begins = 0; seen = 0 };
again: skip
  :: turns >= TURNS -> break
  od;
stopped: skip
}

#define LEAD(from, into) \
  atomic { st[from] == OPEN && attempt < SWITCHES && prepared && copied && position[from] != NONE -> attempt++; st[from] = FROZEN; mark[from] = attempt; printf("@ fence(%d)\n", from) }; \
  if \
  :: atomic { recorded[into] == attempt && st[into] == CLOSED -> printf("@ open(%d)\n", into); assert(val[into] == committed); st[into] = OPEN; st[from] = CLOSED; token[into]++ } \
  :: atomic { true -> st[from] = OPEN; printf("@ abort(%d)\n", from) } \
  fi

active proctype Switch() {
  do
  :: LEAD(0, 1)
  :: LEAD(1, 0)
  od
}

init {
  atomic {
    CHOOSE_WEAKNESS;
    st[0] = OPEN; st[1] = CLOSED; kept[0] = NONE; kept[1] = NONE; position[0] = NONE; position[1] = NONE; token[0] = 1; token[1] = 1;
    run Player(0, 1); run Player(1, 0); run Leader(1); run Leader(2)
  }
}
