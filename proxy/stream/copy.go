package stream

// CopyFrom makes r ask for what src asks for, and reuses r's memory. The two
// share nothing that either may write, so that layers may change the one and
// leave the other as it is, or go on with the one when the other is gone.
//
// What belongs to an exchange under way is not copied, and r's own is kept:
// Body, Trailer, Tunnel, Caller, Native and Info.
func (r *Request) CopyFrom(src *Request) {
	if r == src {
		return
	}
	r.Header.CopyFrom(&src.Header)
	r.Vars.CopyFrom(&src.Vars)
	clear(r.Tried)
	*r = Request{
		Protocol:         src.Protocol,
		Method:           src.Method,
		Scheme:           src.Scheme,
		Authority:        src.Authority,
		Path:             src.Path,
		Query:            src.Query,
		HasQuery:         src.HasQuery,
		Header:           r.Header,
		ContentLength:    src.ContentLength,
		Body:             r.Body,
		Trailer:          r.Trailer,
		OneWay:           src.OneWay,
		Upgrade:          src.Upgrade,
		Tunnel:           r.Tunnel,
		Target:           src.Target,
		Timeout:          src.Timeout,
		Deadline:         src.Deadline,
		UpstreamProtocol: src.UpstreamProtocol,
		Policy:           src.Policy,
		TryTimeout:       src.TryTimeout,
		Hash:             src.Hash,
		Hashed:           src.Hashed,
		Labels:           src.Labels,
		Tried:            append(r.Tried[:0], src.Tried...),
		PerHost:          src.PerHost,
		Vars:             r.Vars,
		Info:             r.Info,
		Caller:           r.Caller,
		Native:           r.Native,
	}
}

// CopyFrom replaces the content of v by that of src. The two share no memory.
func (v *Vars) CopyFrom(src *Vars) {
	if v == src {
		return
	}
	v.Reset()
	v.list = append(v.list, src.list...)
}
