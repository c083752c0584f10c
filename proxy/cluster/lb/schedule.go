package lb

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ottavo-runtime/ottavo/proxy/stream"
	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// schedule gives every host turns in proportion to what it is worth: earliest
// deadline first. The deadlines are of a logical clock, which shows the
// deadline of the turn given last; after its turn, a host's next deadline is
// 1/worth later. So a host of worth 3 has three turns, evenly apart, while one
// of worth 1 has one.
//
// Hosts that can't be used are taken out of the queue when their turn comes,
// which costs the others nothing and brings them nothing but their part. A Pick
// looks after a few hosts besides that whose turn it is: whether they can be
// used again, and what they are worth by now.
type schedule struct {
	hosts []*upstream.Host
	worth worth
	// timed: worth depends on the time; varying: it changes at all.
	timed, varying bool

	mu     sync.Mutex
	queue  []turn    // a heap, four children to a node
	place  []int32   // where a host stands in queue; -1 if it does not
	rate   []float64 // what it was worth when its deadline was set
	wait   []float64 // of hosts out of the queue: see upcoming
	clock  float64
	count  uint32 // turns put in the queue
	cursor int    // the host to look after next
}

// worth returns what the i-th host is worth, above 0, at a time in Unix
// nanoseconds. It is called with the schedule locked.
type worth func(i int, now int64) float64

type turn struct {
	deadline float64
	// count decides between equal deadlines: who came first has the first turn.
	count uint32
	host  int32
}

func (t turn) before(o turn) bool {
	return t.deadline < o.deadline || t.deadline == o.deadline && int32(t.count-o.count) < 0
}

// lookAfter is how many hosts a Pick looks after, if they can't be used; half as
// many if they can.
const lookAfter = 4

// newSchedule makes a schedule of s.hosts, with its worth set.
func newSchedule(s *schedule, before Picker) *schedule {
	n := len(s.hosts)
	s.queue, s.place, s.rate, s.wait = make([]turn, n), make([]int32, n), make([]float64, n), make([]float64, n)
	now := s.now()
	for k, t := range takeOver(s.hosts, before) {
		s.rate[t.place] = max(s.worth(t.place, now), leastWorth)
		s.queue[k] = turn{deadline: t.wait / s.rate[t.place], host: int32(t.place)}
	}
	slices.SortStableFunc(s.queue, func(a, b turn) int { return cmp.Compare(a.deadline, b.deadline) })
	for k := range s.queue {
		s.queue[k].count = uint32(k)
		s.place[s.queue[k].host] = int32(k)
	}
	s.count = uint32(n)
	return s
}

// leastWorth keeps deadlines finite.
const leastWorth = 1e-9

func (s *schedule) now() int64 {
	if !s.timed {
		return 0
	}
	return time.Now().UnixNano()
}

// Pick implements Picker.
func (s *schedule) Pick(req *stream.Request) (*upstream.Host, error) {
	now := s.now()
	s.mu.Lock()
	h := s.next(req.Tried, now)
	s.mu.Unlock()
	if h == nil {
		return last(s.hosts, req.Tried)
	}
	return h, nil
}

// next gives a turn; nil is that nothing but hosts to avoid is left.
func (s *schedule) next(avoid []string, now int64) *upstream.Host {
	if s.varying || len(s.queue) < len(s.hosts) {
		for effort := 0; effort < min(lookAfter, 2*len(s.hosts)); effort++ {
			if s.cursor++; s.cursor >= len(s.hosts) {
				s.cursor = 0
			}
			if s.place[s.cursor] >= 0 {
				effort++ // it costs more to say what a host is worth
			}
			s.review(s.cursor, now)
		}
	}
	for len(s.queue) > 0 {
		h := s.hosts[s.queue[0].host]
		switch {
		case !h.Usable():
			s.remove(0, rand.Float64())
		case slices.Contains(avoid, h.Address):
			return s.nextBut(avoid, now)
		default:
			s.clock = s.queue[0].deadline
			s.taken(0, now)
			return h
		}
	}
	return s.nextBut(avoid, now)
}

// nextBut gives the first turn of a host that can be used. It looks at all of
// them.
func (s *schedule) nextBut(avoid []string, now int64) *upstream.Host {
	best := int32(-1)
	for i, h := range s.hosts {
		if !usable(h, avoid) {
			continue
		}
		s.review(i, now)
		if p := s.place[i]; p >= 0 && (best < 0 || s.queue[p].before(s.queue[s.place[best]])) {
			best = int32(i)
		}
	}
	if best < 0 {
		return nil
	}
	p := int(s.place[best])
	if p == 0 {
		s.clock = s.queue[0].deadline
	}
	s.taken(p, now)
	return s.hosts[best]
}

// taken sets the next deadline of the host at p, which has got a turn.
func (s *schedule) taken(p int, now int64) {
	t := &s.queue[p]
	if s.varying {
		s.rate[t.host] = max(s.worth(int(t.host), now), leastWorth)
	}
	t.deadline += 1 / s.rate[t.host]
	t.count = s.count
	s.count++
	s.down(p)
}

// review brings what is known of a host up to date: it may be usable again, or
// worth something else. What it has waited for so far is not lost.
func (s *schedule) review(i int, now int64) {
	p := int(s.place[i])
	if p < 0 {
		if s.hosts[i].Usable() {
			s.rate[i] = max(s.worth(i, now), leastWorth)
			s.add(turn{deadline: s.clock + s.wait[i]/s.rate[i], host: int32(i)})
		}
		return
	}
	if !s.varying {
		return
	}
	if rate := max(s.worth(i, now), leastWorth); rate != s.rate[i] {
		t := &s.queue[p]
		t.deadline = s.clock + max(0, t.deadline-s.clock)*s.rate[i]/rate
		s.rate[i] = rate
		s.fix(p)
	}
}

// upcoming implements queue.
func (s *schedule) upcoming() []upcoming {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := slices.Clone(s.queue)
	for i, p := range s.place {
		if p < 0 {
			queue = append(queue, turn{deadline: s.clock + s.wait[i]/s.rate[i], count: s.count, host: int32(i)})
		}
	}
	slices.SortStableFunc(queue, func(a, b turn) int {
		return cmp.Or(cmp.Compare(a.deadline, b.deadline), cmp.Compare(int32(a.count-b.count), 0))
	})
	turns := make([]upcoming, len(queue))
	for k, t := range queue {
		turns[k] = upcoming{s.hosts[t.host], min(1, max(0, t.deadline-s.clock)*s.rate[t.host])}
	}
	return turns
}

// The heap.

func (s *schedule) add(t turn) {
	t.count = s.count
	s.count++
	s.queue = append(s.queue, t) // there is room: it once held all hosts
	s.place[t.host] = int32(len(s.queue) - 1)
	s.up(len(s.queue) - 1)
}

func (s *schedule) remove(p int, wait float64) {
	host, end := s.queue[p].host, len(s.queue)-1
	s.place[host], s.wait[host] = -1, wait
	if p < end {
		s.queue[p] = s.queue[end]
		s.place[s.queue[p].host] = int32(p)
	}
	s.queue = s.queue[:end]
	if p < end {
		s.fix(p)
	}
}

func (s *schedule) fix(p int) {
	if !s.up(p) {
		s.down(p)
	}
}

func (s *schedule) up(p int) (moved bool) {
	t := s.queue[p]
	for p > 0 {
		parent := (p - 1) / 4
		if !t.before(s.queue[parent]) {
			break
		}
		s.queue[p] = s.queue[parent]
		s.place[s.queue[p].host] = int32(p)
		p, moved = parent, true
	}
	s.queue[p] = t
	s.place[t.host] = int32(p)
	return moved
}

func (s *schedule) down(p int) {
	t, q := s.queue[p], s.queue
	for {
		first := 4*p + 1
		if first >= len(q) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(q)); c++ {
			if q[c].before(q[least]) {
				least = c
			}
		}
		if !q[least].before(t) {
			break
		}
		q[p] = q[least]
		s.place[q[p].host] = int32(p)
		p = least
	}
	q[p] = t
	s.place[t.host] = int32(p)
}
