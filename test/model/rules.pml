/*
 * Rules, holds and repair: what a gateway believes, and whether traffic flows again.
 *
 * Two stores, one table, one workflow. Store 0 serves first. Data is left out (cutover.pml): a store is its fence row and the marker that it has recorded.
 *
 *   process   stands for
 *   Gateway   gateway/rules/{rules-follower,fenced-table,fence-view}.ts and gateway/flow/{executor,bounces,hold}.ts: remembers the newest row of each store, the highest attempt and where calls go; reads the two rows one
 *             after the other; is held by a rule or by the fence; a held write waits for rows, rules, or the hold's own end. It may lose Consul at any moment and for ever
 *   Timer     the gateway's clock, which ends a hold by rule
 *   Co        control/cutover/{cutover,hold,decision}.ts: one coordinator from `rules-hold` to `flip` or `release`; stops for ever between any two steps
 *   Repair    control/cutover/{repair-watch,repair-look,repair-decision,repair}.ts of the one control process that lives: rows, then rules, then rows again, then one act
 *   Third     somebody who writes rules with a plain compare-and-set, whatever they say
 *   Stream    the player, in one step: the marker arrives
 *
 * Rules are written as topo/rules-store.ts does: a document replaces the one that was read, or it is read again (`fresh`).
 *
 * Held to, with fairness: `served`, every operation ends, whoever stopped and whatever the rules say · `settled`, in the end the rules name the store that is open, and hold nothing. And never two stores open.
 */
#include "words.pml"

#define ATTEMPT_FROM_RULES  1   /* a gateway learns from a rule which attempt is the highest */
#define RULES_BEAT_ROWS     2   /* a gateway goes where the newest rules say, not where the rows lead */
#define HOLD_WITHOUT_END    3   /* a hold by rule has no end of its own, and nobody looks at the rows meanwhile */
#define HELD_IS_WELL        4   /* the repair leaves held rules alone where the store that they name is open */
#define NO_REPAIR           5   /* nobody repairs */
#define REPAIR_UNMARKED     6   /* the repair commits without the marker, and nothing else asks for it */

/* Sizes: operations, coordinators, attempts, documents of somebody else. */
#ifndef OPERATIONS
#define OPERATIONS 1
#endif
#ifndef COORDINATORS
#define COORDINATORS 1
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 1
#endif
#ifndef THIRD
#define THIRD 1
#endif

mtype st[2];
byte at[2], recorded[2];
/* The rules: primary, attempt that writes are held for (0: open), whether the gateway has not seen them yet, whether a writer's copy is the present one. Writers: coordinators 0 and 1, the repair 2. */
bit primary, unseen; byte held; bit fresh[3];
byte given, served;

#define WRITE_RULES(p, h) primary = p; held = h; unseen = 1; fresh[0] = 0; fresh[1] = 0; fresh[2] = 0
#define CHECK assert(!(st[0] == OPEN && st[1] == OPEN)); assert(st[0] != CLOSED || st[1] != CLOSED)

mtype = { FREE, BY_RULE, BY_FENCE }

/* What the gateway remembers: the highest attempt, where calls go, whether the rows showed it open there, its hold, the attempt of the newest rule that holds, whether a write waits. */
byte top, seenHold;
bit home, open, waiting;
mtype hold = FREE;

proctype Gateway() {
  byte n;
  bit write, cut;
  /* One look: the two rows, read one after the other. */
  mtype row; byte rowAt;
#define LOOK atomic { row = st[0]; rowAt = at[0]; top = (rowAt > top -> rowAt : top) }
#define SEE \
  top = (at[1] > top -> at[1] : top); \
  if \
  :: row == OPEN && rowAt >= top -> home = 0; open = 1 \
  :: else -> \
     if \
     :: st[1] == OPEN && at[1] >= top -> home = 1; open = 1; rowAt = at[1] \
     :: else -> open = 0; \
        if \
        :: row != CLOSED && row != OPEN && (st[1] == CLOSED || st[1] == OPEN) -> home = 0 \
        :: st[1] != CLOSED && st[1] != OPEN && (row == CLOSED || row == OPEN) -> home = 1 \
        :: else \
        fi \
     fi \
  fi; row = CLOSED
  do
  :: n < OPERATIONS -> n++; if :: write = 1 :: write = 0 fi;
again: if
     /* The watch delivers, or never does. */
     :: atomic { unseen && !cut -> unseen = 0;
          if :: WEAKENED(RULES_BEAT_ROWS) -> home = primary :: else fi;
          if :: WEAKENED(ATTEMPT_FROM_RULES) && held > top -> top = held :: else fi;
          if
          :: held != 0 && held != seenHold -> seenHold = held; hold = BY_RULE
          :: held == 0 -> seenHold = 0; if :: hold == BY_RULE -> hold = (!open && waiting -> BY_FENCE : FREE) :: else fi
          :: else
          fi; printf("@ gateway: sees rules, primary %d, held for attempt %d\n", primary, held) }; goto again
     :: atomic { !cut -> cut = 1; printf("@ gateway: hears no more of Consul\n") }; goto again
     /* While somebody waits the rows are looked at, one store after the other. */
     :: write && hold != FREE && !(WEAKENED(HOLD_WITHOUT_END) && hold == BY_RULE) -> waiting = 1;
        LOOK; atomic { SEE; if :: open && (hold == BY_FENCE || (hold == BY_RULE && rowAt >= seenHold)) -> hold = FREE; waiting = 0; printf("@ gateway: store %d is open, the hold is over\n", home) :: else fi; rowAt = 0 }; goto again
     :: atomic { (!write || hold == FREE) && (st[home] == OPEN || (!write && st[home] != CLOSED)) -> served++; printf("@ gateway: store %d serves operation %d\n", home, served) }
     :: atomic { (!write || hold == FREE) && !(st[home] == OPEN || (!write && st[home] != CLOSED)) -> printf("@ gateway: bounces off store %d\n", home) };
        if
        :: WEAKENED(RULES_BEAT_ROWS) -> atomic { if :: !cut -> home = primary :: else fi }
        :: else -> LOOK;
           atomic { SEE; rowAt = 0; if :: write && !open -> hold = BY_FENCE; printf("@ gateway: no store is open, the write is held\n") :: else fi }
        fi; goto again
     fi;
     atomic { write = 0; waiting = 0 }
  :: n >= OPERATIONS -> break
  od
}

/* The hold's own end, on the gateway's clock. */
active proctype Timer() {
end: do
  :: atomic { hold == BY_RULE && !WEAKENED(HOLD_WITHOUT_END) -> hold = (!open && waiting -> BY_FENCE : FREE); printf("@ gateway: the hold by rule is over\n") }
  od
}

active proctype Stream() {
end: do
  :: atomic { st[1] == CLOSED && st[0] == FROZEN && recorded[1] != at[0] -> recorded[1] = at[0]; printf("@ marker %d is in store 1\n", at[0]) }
  :: atomic { st[0] == CLOSED && st[1] == FROZEN && recorded[0] != at[1] -> recorded[0] = at[1]; printf("@ marker %d is in store 0\n", at[1]) }
  od
}

#define STOP :: goto stopped
proctype Co(bit me) {
  byte a; bit s, d;
  do
  :: atomic { given < ATTEMPTS && (st[0] == OPEN || st[1] == OPEN) -> given++; a = given; s = (st[0] == OPEN -> 0 : 1); d = 1 - s };
     /* rules-hold: one compare-and-set on what was read just now; Consul may be away. */
     if :: atomic { WRITE_RULES(s, a); printf("@ coordinator: rules, writes held for attempt %d\n", a) } :: true STOP fi;
     if :: atomic { st[s] == OPEN && at[s] < a && st[d] == CLOSED -> st[s] = FROZEN; at[s] = a; printf("@ coordinator: fence(%d)\n", s) } :: atomic { !(st[s] == OPEN && at[s] < a) -> true }; goto stopped STOP fi;
     if :: recorded[d] == a :: goto undo STOP fi;
     if :: atomic { st[s] == FROZEN && at[s] == a -> st[s] = SEALED; printf("@ coordinator: commit(%d)\n", s) } :: atomic { !(st[s] == FROZEN && at[s] == a) -> true }; goto undo STOP fi;
forward: if :: atomic { st[d] == CLOSED && at[d] < a && recorded[d] == a -> st[d] = READABLE; printf("@ coordinator: ready(%d)\n", d); CHECK } :: atomic { !(st[d] == CLOSED && at[d] < a) -> true } STOP fi;
     if :: atomic { st[s] == SEALED && at[s] == a -> st[s] = CLOSED; printf("@ coordinator: close(%d)\n", s); CHECK } :: atomic { !(st[s] == SEALED && at[s] == a) -> true } STOP fi;
     if :: atomic { st[d] == READABLE && at[d] < a -> st[d] = OPEN; at[d] = a; printf("@ coordinator: open(%d)\n", d); CHECK } :: atomic { !(st[d] == READABLE && at[d] < a) -> true } STOP fi;
     goto settle;
undo: if :: atomic { st[s] == FROZEN && at[s] == a -> st[s] = OPEN; printf("@ coordinator: abort(%d)\n", s) } :: atomic { (st[s] == SEALED || st[s] == CLOSED) && at[s] == a -> true }; goto forward
     :: atomic { !((st[s] == FROZEN || st[s] == SEALED || st[s] == CLOSED) && at[s] == a) -> true } STOP fi;
     d = s;
     /* flip and release: rules, then rows, then the compare-and-set. */
settle: if :: fresh[me] = 1 STOP fi;
     if :: atomic { st[d] == OPEN -> true } :: atomic { st[d] != OPEN -> true }; goto over STOP fi;
     if :: atomic { fresh[me] -> WRITE_RULES(d, 0); printf("@ coordinator: rules, primary %d, open\n", d) } :: atomic { !fresh[me] -> true }; goto settle STOP fi;
over: atomic { a = 0; s = 0; d = 0; fresh[me] = 0 }
  :: given >= ATTEMPTS -> break
  od;
stopped: fresh[me] = 0
}

active proctype Repair() {
  byte a; bit s, at1;
#define OTHER (1 - s)
end: do
  :: atomic { !WEAKENED(NO_REPAIR) && (st[0] == FROZEN || st[0] == SEALED || (st[0] == CLOSED && st[1] == READABLE)) -> s = 0; a = at[0] }; goto act
  :: atomic { !WEAKENED(NO_REPAIR) && (st[1] == FROZEN || st[1] == SEALED || (st[1] == CLOSED && st[0] == READABLE)) -> s = 1; a = at[1] }; goto act
  /* The rules as they were read, and then the rows. */
  :: atomic { !WEAKENED(NO_REPAIR) && (st[0] == OPEN || st[1] == OPEN) && (st[primary] != OPEN || (held != 0 && !WEAKENED(HELD_IS_WELL))) -> fresh[2] = 1 };
     if :: atomic { st[0] == OPEN -> at1 = 0 } :: atomic { st[1] == OPEN -> at1 = 1 } :: atomic { st[0] != OPEN && st[1] != OPEN -> true }; goto back fi;
     if :: atomic { fresh[2] -> WRITE_RULES(at1, 0); printf("@ repair: rules, primary %d, open\n", at1) } :: atomic { !fresh[2] -> true } fi;
     goto back
  od;
act: if
  :: atomic { st[s] == FROZEN && at[s] == a && st[OTHER] == CLOSED && at[OTHER] < a && (recorded[OTHER] == a || WEAKENED(REPAIR_UNMARKED)) -> st[s] = SEALED; printf("@ repair: commit(%d)\n", s) }
  :: atomic { st[s] == FROZEN && at[s] == a && !(st[OTHER] == CLOSED && at[OTHER] < a && (recorded[OTHER] == a || WEAKENED(REPAIR_UNMARKED))) -> st[s] = OPEN; printf("@ repair: abort(%d)\n", s) }
  :: atomic { st[s] == SEALED && at[s] == a && st[OTHER] == CLOSED && at[OTHER] < a && (recorded[OTHER] == a || WEAKENED(REPAIR_UNMARKED)) -> st[OTHER] = READABLE; printf("@ repair: ready(%d)\n", OTHER); CHECK; assert(recorded[OTHER] == a) }
  :: atomic { st[s] == SEALED && at[s] == a && st[OTHER] == READABLE -> st[s] = CLOSED; printf("@ repair: close(%d)\n", s); CHECK }
  :: atomic { st[s] == CLOSED && at[s] == a && st[OTHER] == READABLE && at[OTHER] < a -> st[OTHER] = OPEN; at[OTHER] = a; printf("@ repair: open(%d)\n", OTHER); CHECK }
  :: else
  fi;
back: atomic { a = 0; s = 0; at1 = 0; fresh[2] = 0 }; goto end
}

active proctype Third() {
  byte n;
  do
  :: n < THIRD -> atomic { n++; if :: WRITE_RULES(0, 0) :: WRITE_RULES(1, 0) :: WRITE_RULES(0, 9) :: WRITE_RULES(1, 9) fi; printf("@ somebody: rules, primary %d, held for attempt %d\n", primary, held) }
  :: n >= THIRD -> break
  od
}

#ifdef LIVE
active proctype Tick() { bit t; do :: t = 1 - t od }
ltl served { <>(served == OPERATIONS) }
ltl settled { <>[](st[primary] == OPEN && held == 0) }
#endif

init {
  atomic {
    CHOOSE_WEAKNESS;
    st[0] = OPEN; st[1] = CLOSED; byte i;
    for (i : 1 .. COORDINATORS) { run Co(i - 1) }
    run Gateway();
    i = 0
  }
}
