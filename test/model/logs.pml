/*
 * Who may begin and end the log of a way back. A log that is thrown away after the switch which it belongs to loses no row, but there is no way back then.
 *
 * Store 0 serves first, and the stream into store 1 follows its log. Each attempt leads from one store to the other and begins a log anew in the one that it enters: that of the way back. A log is known by the attempt that
 * has created it, for none creates two.
 *
 *   process   stands for
 *   Attempt   control/cutover/prepare.ts (step `reverse-stream`) and `fence`. Several of them at once, in either direction, as the workflow's lock is no safety. All have their numbers from the beginning and act whenever
 *             they like, and each may stop for ever between any two steps: whoever cleans up after aborted ones (control/cutover/tail.ts) begins one that stops when it has dropped the old log. The backends' part is `createLog` in its steps (backends/postgres/owner/log.ts; SQLite's is one
 *             transaction), `dropLog`, `beginStream` (backends/stream-beginning.ts), `prepare` and `fence`
 *   Hold      everything between `fence` and `open`, by whomever. From `commit` to `open` it is one step: no look here tells the states in between from FROZEN
 *   Leader    what follows a switch, in control/cutover/tail.ts: the log that led here is dropped. By the switch's coordinator, for the switch's attempt, at any time after it
 *
 * Not here: rows and positions (streams.pml); publications, which go under the same condition as slots; the end of a workflow, after which nobody can fence; the first log, which control/workflow/preparation.ts begins for no
 * attempt and so in any case, also when a leader that was paused in front of it comes after a switch there and back.
 *
 * Held to: from each switch to the next one, the store that serves keeps the log that its own attempt created before the fence, and the stream into the other store begins where that log does.
 */
#include "words.pml"

#define DROP_ANY_ATTEMPT     1   /* a log is dropped also when a later attempt has claimed it */
#define CLAIM_ANY_ATTEMPT    2   /* an attempt claims a log also from a later one */
#define CLAIM_LAST           3   /* an attempt claims the log when it has created it, not before */
#define CREATE_OVER          4   /* a log that is there is no reason not to create it */
#define NO_PREPARE           5   /* `fence` does not ask whether a later attempt has begun to prepare */
#define PREPARE_ANY_ATTEMPT  6   /* an attempt begins to prepare also when a later one has */
#define LOOK_BEFORE_PREPARE  7   /* an attempt looks at the fence rows and begins to prepare then */
#define FREEZE_BEFORE_LOOK   8   /* the old log is dropped before the look at the fence rows */
#define BEGIN_ANY_TOKEN      9   /* a stream begins anew also when somebody has begun it meanwhile */
#define TAIL_UNDECIDED       10  /* the log that led here is dropped for the attempt in the fence row, also while that one is not decided */

/* Size: attempts. */
#ifndef ATTEMPTS
#define ATTEMPTS 3
#endif

#define NONE 99
/* Of each store: its fence row, and the highest attempt that has begun to prepare to leave it. */
mtype st[2];
byte at[2], prepared[2];
/* The log of the stream out of a store: the attempt that has claimed it, and the one that has created it; NONE: there is no log. */
byte claimed[2], log[2];
/* The stream into a store: its token, and the log with which it begins. */
byte token[2], begins[2];
/* The last switch: its attempt, and the store that serves since. */
byte made;
bit serving;

#define CHECK assert(log[serving] == made && begins[1 - serving] == made)
#define MAY_DROP(k, by) (claimed[k] <= by || WEAKENED(DROP_ANY_ATTEMPT))

/* The next step of an attempt. */
mtype = { PREPARE, TOKEN, LOOK_LEFT, LOOK_ENTERED, FREEZE, CLAIM, EMPTY, CREATE, BEGIN, FENCE, OVER }

proctype Attempt(byte a) {
  bit from, to;
  byte seen;
  mtype next;
  atomic { if :: from = 0 :: from = 1 fi; to = 1 - from; next = (WEAKENED(LOOK_BEFORE_PREPARE) -> TOKEN : PREPARE) }
  do
  :: atomic {
       next == PREPARE && (prepared[from] <= a || WEAKENED(PREPARE_ANY_ATTEMPT)) ->
       prepared[from] = a; next = (WEAKENED(LOOK_BEFORE_PREPARE) || WEAKENED(FREEZE_BEFORE_LOOK) -> FREEZE : TOKEN); printf("@ attempt %d: begins to prepare to leave store %d\n", a, from)
     }
  /* The token before the look. */
  :: atomic { next == TOKEN -> seen = token[from]; next = LOOK_LEFT }
  :: atomic { next == LOOK_LEFT && st[from] == OPEN -> next = LOOK_ENTERED; printf("@ attempt %d: store %d is seen to be open\n", a, from) }
  :: atomic {
       next == LOOK_ENTERED && st[to] == CLOSED ->
       next = (WEAKENED(LOOK_BEFORE_PREPARE) -> PREPARE : (WEAKENED(FREEZE_BEFORE_LOOK) -> CLAIM : FREEZE)); printf("@ attempt %d: store %d is seen to be closed\n", a, to)
     }
  :: atomic {
       next == FREEZE -> next = (WEAKENED(FREEZE_BEFORE_LOOK) -> TOKEN : CLAIM);
       if :: MAY_DROP(to, a) -> log[to] = NONE; printf("@ attempt %d: drops the old log of store %d\n", a, to); CHECK :: else fi
     }
  /* createLog */
  :: atomic {
       next == CLAIM && (claimed[to] <= a || WEAKENED(CLAIM_ANY_ATTEMPT) || WEAKENED(CLAIM_LAST)) -> next = EMPTY;
       if :: WEAKENED(CLAIM_LAST) :: else -> claimed[to] = a; printf("@ attempt %d: claims the log of store %d\n", a, to) fi
     }
  :: atomic {
       next == EMPTY -> next = CREATE;
       if :: MAY_DROP(to, a) -> log[to] = NONE; printf("@ attempt %d: drops whatever log store %d has\n", a, to); CHECK :: else fi
     }
  /* The server refuses a second one of the same name. */
  :: atomic { next == CREATE && (log[to] == NONE || WEAKENED(CREATE_OVER)) -> log[to] = a; next = BEGIN; printf("@ attempt %d: creates the log of store %d\n", a, to); CHECK }
  :: atomic {
       next == BEGIN && (token[from] == seen || WEAKENED(BEGIN_ANY_TOKEN)) && st[from] == OPEN -> begins[from] = a; token[from]++; seen = 0; next = FENCE;
       if :: WEAKENED(CLAIM_LAST) -> claimed[to] = a :: else fi; printf("@ attempt %d: the stream into store %d begins with that log\n", a, from); CHECK
     }
  /* It may still be under way when its coordinator has stopped waiting for it. */
  :: atomic { next == FENCE && st[from] == OPEN && at[from] < a && (prepared[from] <= a || WEAKENED(NO_PREPARE)) -> st[from] = FROZEN; at[from] = a; next = OVER; printf("@ attempt %d: fence(%d)\n", a, from) }
  od
}

#define DECIDE(from, to) \
  :: atomic { st[from] == FROZEN -> st[from] = OPEN; printf("@ abort(%d) of attempt %d\n", from, at[from]) } \
  :: atomic { \
       st[from] == FROZEN && st[to] == CLOSED && at[to] < at[from] -> st[from] = CLOSED; st[to] = OPEN; at[to] = at[from]; token[to]++; serving = to; made = at[to]; \
       printf("@ attempt %d is committed, store %d serves\n", made, to); CHECK \
     }

proctype Hold() {
  do
  DECIDE(0, 1)
  DECIDE(1, 0)
  od
}

#define SETTLED(k) (st[k] == OPEN || (WEAKENED(TAIL_UNDECIDED) && st[k] == FROZEN))

proctype Leader() {
  bit serves;
  byte by;
  by = NONE;
  do
  :: atomic { by == NONE && SETTLED(0) -> serves = 0; by = at[0] }
  :: atomic { by == NONE && SETTLED(1) -> serves = 1; by = at[1] }
  :: atomic { by != NONE -> if :: MAY_DROP(1 - serves, by) -> log[1 - serves] = NONE; printf("@ leader: found store %d with attempt %d, drops the log of store %d\n", serves, by, 1 - serves); CHECK :: else fi; by = NONE; serves = 0 }
  od
}

init {
  atomic {
    CHOOSE_WEAKNESS;
    st[0] = OPEN; st[1] = CLOSED; log[1] = NONE; begins[0] = NONE;
    run Hold(); run Leader();
    byte i;
    for (i : 1 .. ATTEMPTS) { run Attempt(i) }
    i = 0
  }
}
