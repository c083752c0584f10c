package grpccall

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/ottavo-runtime/ottavo/internal/decode"
)

// Service finds a service by its full name, or by the end of it if only one of
// the server's services ends so: "Runtime" for "spec.proto.runtime.v1.Runtime".
func (c *Client) Service(ctx context.Context, name string) (protoreflect.ServiceDescriptor, error) {
	services, err := c.Services(ctx)
	if err != nil {
		return nil, err
	}
	full, err := pick(strings.TrimPrefix(name, "."), services)
	if err != nil {
		return nil, err
	}
	d, err := c.find(ctx, protoreflect.FullName(full))
	if err != nil {
		return nil, err
	}
	sd, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil, fmt.Errorf("the server lists the service %s but does not describe it", full)
	}
	return sd, nil
}

// pick returns the service that name means.
func pick(name string, services []string) (string, error) {
	if slices.Contains(services, name) {
		return name, nil
	}
	var candidates []string
	for _, s := range services {
		if strings.HasSuffix(s, "."+name) {
			candidates = append(candidates, s)
		}
	}
	switch len(candidates) {
	case 1:
		return candidates[0], nil
	case 0:
		return "", fmt.Errorf("the server has no service %q%s; it has:%s",
			name, didYouMean(nearestService(name, services)), lines(services))
	}
	return "", fmt.Errorf("%q can be several services; write one of them in full:%s", name, lines(candidates))
}

// nearestService compares a full name with full names, a short one with short ones.
func nearestService(name string, services []string) string {
	if near := decode.Nearest(name, services); near != "" {
		return near
	}
	short := make([]string, len(services))
	for i, s := range services {
		short[i] = s[strings.LastIndexByte(s, '.')+1:]
	}
	near := decode.Nearest(name[strings.LastIndexByte(name, '.')+1:], short)
	if i := slices.Index(short, near); near != "" && i >= 0 {
		return services[i]
	}
	return ""
}

// Method finds a method by "SERVICE/METHOD" or "SERVICE.METHOD"; for SERVICE see
// Service.
func (c *Client) Method(ctx context.Context, name string) (protoreflect.MethodDescriptor, error) {
	service, method, ok := SplitMethod(name)
	if !ok {
		return nil, fmt.Errorf("%q is not SERVICE/METHOD, like Runtime/SayHello", name)
	}
	sd, err := c.Service(ctx, service)
	if err != nil {
		return nil, err
	}
	if md := sd.Methods().ByName(protoreflect.Name(method)); md != nil {
		return md, nil
	}
	var known []string
	for md := range methods(sd) {
		known = append(known, string(md.Name()))
	}
	return nil, fmt.Errorf("%s has no method %q%s; it has:%s",
		sd.FullName(), method, didYouMean(decode.Nearest(method, known)), lines(known))
}

// SplitMethod splits "SERVICE/METHOD", "/SERVICE/METHOD" and "SERVICE.METHOD".
func SplitMethod(name string) (service, method string, ok bool) {
	name = strings.TrimPrefix(name, "/")
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		i = strings.LastIndexByte(name, '.')
	}
	if i <= 0 || i == len(name)-1 {
		return "", "", false
	}
	return name[:i], name[i+1:], true
}

// methods yields the methods of a service in the order of its definition.
func methods(sd protoreflect.ServiceDescriptor) func(yield func(protoreflect.MethodDescriptor) bool) {
	return func(yield func(protoreflect.MethodDescriptor) bool) {
		all := sd.Methods()
		for i := range all.Len() {
			if !yield(all.Get(i)) {
				return
			}
		}
	}
}

func didYouMean(near string) string {
	if near == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", near)
}

// lines writes each name on a line of its own.
func lines(names []string) string {
	if len(names) == 0 {
		return " none"
	}
	return "\n  " + strings.Join(names, "\n  ")
}
