/*
 * Tier B: leaving a store that cannot refuse anything. A barrier of acknowledgements for writes, leases for reads (control/departure, gateway/flow/barrier.ts).
 *
 * Store 0 is the foreign service: it takes every read and write. Store 1 is ours. One register, as in cutover.pml. The decision is a compare-and-set of the rules.
 *
 *   phase     rules say
 *   SERVING   store 0 serves. Also what an abort leads to
 *   HOLDING   writes are held, store 0 answers reads
 *   MOVED     decided: store 1 is the primary, writes are still held, store 1 answers reads
 *   DONE      store 1 serves
 *
 * Gateways register before they read rules, and the registration outlives their session. One acknowledges a version when no write of an older one is under way in it. It reads store 0 only under a lease: of a renewal that read
 * rules which send reads there, counted from before that was asked for. A gateway that is cut off acknowledges nothing: then the cutover is aborted before the decision, and waits out the leases after it.
 * One that has acknowledged the decision begins no read of store 0 any more, whatever lease it holds: where all have, nobody waits for leases.
 *
 * Held to: no lost update · no stale read · a decision is taken once.
 */
#include "words.pml"

#define NO_BARRIER          1   /* the decision waits for no acknowledgement */
#define EARLY_ACK           2   /* a gateway acknowledges while a write is under way */
#define SESSION_REGISTERS   3   /* a registration ends with its session, while the gateway lives on */
#define LATE_REGISTRATION   4   /* a gateway reads rules before it registers */
#define BLIND_DECISION      5   /* the decision replaces whatever the rules say by then */
#define BLIND_ABORT         6   /* so does an abort */
#define NO_LEASE_WAIT       7   /* store 1 takes writes while leases for store 0 may be held */
#define LEASE_FROM_ANSWER   8   /* a lease counts from the answer to its renewal */
#define NO_CATCH_UP         9   /* the decision does not wait for the last change */
#define READS_BY_LEASE     10   /* a gateway reads store 0 for as long as it has a lease, whatever rules it knows */

#ifndef GATEWAYS
#define GATEWAYS 1
#endif
#ifndef OPERATIONS
#define OPERATIONS 2
#endif

mtype = { SERVING, HOLDING, MOVED, DONE }
mtype phase = SERVING;
byte val[2], committed;
/* Number of the rules' version, and the one that each gateway has acknowledged. */
byte version = 1;
byte acked[GATEWAYS];
bit registered[GATEWAYS], started[GATEWAYS];
/* A lease is held; a renewal was sent and not answered yet; that one has run out meanwhile. */
bit lease[GATEWAYS], asked[GATEWAYS], late[GATEWAYS];
bit attempted;

proctype Gateway(byte me) {
  mtype known; byte seen, n, floor, writing;
  bit renewed;
  if
  :: WEAKENED(LATE_REGISTRATION) -> atomic { known = phase; seen = version }; registered[me] = 1
  :: else -> atomic { registered[me] = 1; acked[me] = 0 }; atomic { known = phase; seen = version }
  fi;
  do
  :: atomic { seen != version -> known = phase; seen = version; printf("@ gateway %d: sees version %d\n", me, seen) }
  :: atomic { acked[me] != seen && (writing == 0 || WEAKENED(EARLY_ACK)) -> acked[me] = seen; printf("@ gateway %d: acknowledges version %d\n", me, seen) }
  :: atomic { WEAKENED(SESSION_REGISTERS) && registered[me] -> registered[me] = 0; printf("@ gateway %d: its session ends\n", me) }
  /* A write, and any pause between the look at the rules and the store. */
  :: atomic { n < OPERATIONS && writing == 0 && (known == SERVING || known == DONE) -> n++; writing = (known == SERVING -> 1 : 2); printf("@ gateway %d: sends a write to store %d\n", me, writing - 1) }
  :: atomic { writing != 0 -> printf("@ gateway %d: write %d is committed on store %d, which holds %d\n", me, committed + 1, writing - 1, val[writing - 1]); assert(val[writing - 1] == committed); val[writing - 1]++; committed++; writing = 0 }
  /* The renewal of a lease is one consistent read of the rules. */
  :: atomic { !asked[me] && !lease[me] && (phase == SERVING || phase == HOLDING) -> asked[me] = 1; late[me] = 0; printf("@ gateway %d: asks for a lease\n", me) }
  :: atomic { asked[me] -> asked[me] = 0; lease[me] = (late[me] && !WEAKENED(LEASE_FROM_ANSWER) -> 0 : 1); printf("@ gateway %d: has its answer\n", me) }
  /* A read: by lease from store 0, or from store 1 once rules say so. */
  :: atomic { n < OPERATIONS && lease[me] && (known == SERVING || known == HOLDING || WEAKENED(READS_BY_LEASE)) -> n++; floor = committed; printf("@ gateway %d: a read arrives after write %d\n", me, floor) };
     if :: atomic { lease[me] -> printf("@ gateway %d: store 0 answers with %d\n", me, val[0]); assert(val[0] >= floor) } :: atomic { !lease[me] -> true } fi; floor = 0
  :: atomic { n < OPERATIONS && (known == MOVED || known == DONE) -> n++; printf("@ gateway %d: store 1 answers with %d\n", me, val[1]); assert(val[1] >= committed) }
  od
}

/* Time passes: what was leased, or asked for, runs out. Counted by the gateway and by whoever waits for it alike. */
proctype Time(byte me) {
  do
  :: atomic { lease[me] -> lease[me] = 0; printf("@ gateway %d: its lease is over\n", me) }
  :: atomic { asked[me] && !late[me] -> late[me] = 1 }
  od
}

active proctype Player() {
end: do
  :: atomic { phase != MOVED && phase != DONE && val[1] != val[0] -> val[1] = val[0]; printf("@ player: store 1 holds %d\n", val[1]) }
  od
}

#if GATEWAYS == 1
#define ALL_ACKED(v) (!registered[0] || acked[0] == v)
#define LEASES_OVER (!lease[0] && !(asked[0] && !late[0]))
#else
#define ALL_ACKED(v) ((!registered[0] || acked[0] == v) && (!registered[1] || acked[1] == v))
#define LEASES_OVER (!lease[0] && !lease[1] && !(asked[0] && !late[0]) && !(asked[1] && !late[1]))
#endif

/* Two of them: the lock does not keep a paused one from acting. What has begun may be ended by either. */
proctype Coordinator(byte me) {
  byte mine;
  bit barrier;
  do
  :: atomic { phase == SERVING && !attempted -> attempted = 1; phase = HOLDING; version++; printf("@ coordinator %d: rules %d, writes held\n", me, version) }
  :: atomic { phase == HOLDING && mine != version -> mine = version; barrier = 0 }
  :: atomic { mine != 0 && !barrier && mine == version && (ALL_ACKED(mine) || WEAKENED(NO_BARRIER)) -> barrier = 1; printf("@ coordinator %d: every gateway has acknowledged version %d\n", me, mine) };
     /* The last change, looked for behind the barrier. */
     if :: atomic { val[1] == val[0] || WEAKENED(NO_CATCH_UP) -> true } :: goto undo fi;
     if :: atomic { version == mine || WEAKENED(BLIND_DECISION) -> assert(phase == HOLDING); phase = MOVED; version++; printf("@ coordinator %d: rules %d, moved\n", me, version) } :: atomic { version != mine -> true } :: goto undo fi;
     atomic { mine = 0; barrier = 0 }
  :: mine != 0 ->
undo: if :: atomic { version == mine || WEAKENED(BLIND_ABORT) -> assert(phase == HOLDING); phase = SERVING; version++; printf("@ coordinator %d: rules %d, aborted\n", me, version) } :: atomic { version != mine -> true } fi;
     atomic { mine = 0; barrier = 0 }
  :: atomic { phase == MOVED && (LEASES_OVER || ALL_ACKED(version) || WEAKENED(NO_LEASE_WAIT)) -> phase = DONE; version++; printf("@ coordinator %d: rules %d, store 1 serves\n", me, version) }
  od
}

init {
  atomic {
    CHOOSE_WEAKNESS;
    byte i;
    for (i : 0 .. GATEWAYS - 1) { run Gateway(i); run Time(i) }
    run Coordinator(1); run Coordinator(2);
    i = 0
  }
}
