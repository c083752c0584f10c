// Command messages sends a mail, a short message, and has a telephone called.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"os"
	"time"

	ottavo "github.com/ottavo-runtime/ottavo/sdk/go"
)

func main() {
	address := flag.String("address", ottavo.DefaultAddress, "where the runtime's API listens")
	flag.Parse()

	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	err := run(ctx, *address, log.New(os.Stdout, "", 0))
	cancel()
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, address string, out *log.Logger) (err error) {
	client, err := ottavo.Dial(address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	code := ottavo.Template{ID: "T-1", Params: map[string]string{"0": "4711"}}
	mail := &ottavo.Mail{From: "shop@example.com", To: []string{"eva@example.com"}, Subject: "Your order", Text: "It is on its way.", Template: code}
	_, err = client.SendMail(ctx, "email_demo", mail)
	if err != nil {
		return err
	}
	out.Print("mail:     accepted")
	if _, err := client.SendTemplateMail(ctx, "email_demo", mail); err != nil {
		return err
	}
	out.Print("template: accepted")
	_, results, err := client.SendSMS(ctx, "sms_demo", &ottavo.SMS{To: []string{"+49301234567"}, SignName: "shop", Template: code})
	if err != nil {
		return err
	}
	out.Printf("sms:      %d of 1 accepted", len(results))
	if _, err := client.CallPhone(ctx, "phone_demo", &ottavo.VoiceCall{To: []string{"+49301234567"}, From: "+49307654321", Template: code}); err != nil {
		return err
	}
	out.Print("call:     accepted")
	return nil
}
