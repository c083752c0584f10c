package lb

import (
	"math/rand/v2"

	"github.com/ottavo-runtime/ottavo/proxy/upstream"
)

// fewHosts is up to how many hosts are all looked at.
const fewHosts = 16

// best draws count different hosts at random among those that can be used and
// returns the one with the least load; of equal ones, any. load is asked for
// the place of a host. nil is that no host can be used.
func best(hosts []*upstream.Host, avoid []string, count int, load func(i int) float64) *upstream.Host {
	n := len(hosts)
	if n <= fewHosts {
		return bestOfFew(hosts, avoid, count, load)
	}
	if count >= n {
		return least(hosts, avoid, load)
	}
	var drawn [8]int
	choice, low, found := -1, 0.0, 0
	var d dice
draw:
	for range count * draws(n) {
		i := d.draw(n)
		for _, j := range drawn[:min(found, len(drawn))] {
			if i == j {
				continue draw
			}
		}
		if !usable(hosts[i], avoid) {
			continue
		}
		if l := load(i); choice < 0 || l < low {
			choice, low = i, l
		}
		if found < len(drawn) {
			drawn[found] = i
		}
		if found++; found == count {
			return hosts[choice]
		}
	}
	return least(hosts, avoid, load) // so few can be used that it is best to compare all
}

func bestOfFew(hosts []*upstream.Host, avoid []string, count int, load func(i int) float64) *upstream.Host {
	var places [fewHosts]int
	n := 0
	for i, h := range hosts {
		if usable(h, avoid) {
			places[n] = i
			n++
		}
	}
	if n == 0 {
		return nil
	}
	choice, low := -1, 0.0
	var d dice
	for k := range min(count, n) {
		r := k + d.draw(n-k)
		places[k], places[r] = places[r], places[k]
		i := places[k]
		if n == 1 {
			return hosts[i]
		}
		if l := load(i); choice < 0 || l < low {
			choice, low = i, l
		}
	}
	return hosts[choice]
}

// least returns the host with the least load of all that can be used; of equal
// ones, any.
func least(hosts []*upstream.Host, avoid []string, load func(i int) float64) *upstream.Host {
	var choice *upstream.Host
	low, equal := 0.0, 0
	for i, h := range hosts {
		if !usable(h, avoid) {
			continue
		}
		switch l := load(i); {
		case choice == nil || l < low:
			choice, low, equal = h, l, 1
		case l == low:
			if equal++; rand.IntN(equal) == 0 {
				choice = h
			}
		}
	}
	return choice
}
